"""An agent's system calls are followed from outside, over all its threads, and it dies before the chosen one."""

import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.faults import syscall
from harness.services.call_names import path_name, request_name
from harness.services.process import ManagedProcess
from harness.services.step_tracer import StepTracer
from harness.services.warden import Warden
from harness.wait import wait_for

pytestmark = pytest.mark.needs(syscall.CAPABILITY)

WITHIN_S = 20.0
TOLD_OFTEN = 300
# Writes a file in a thread for each line that it is given, as an agent does.
WRITER = """
import asyncio, os, socket, sys
folder = sys.argv[1] + "/var/lib/fleet-agent"
def write():
    with open(folder + "/x.tmp", "w") as file:
        file.write("a")
        file.flush()
        os.fsync(file.fileno())
    os.rename(folder + "/x.tmp", folder + "/x")
async def main():
    print("ready", flush=True)
    while not os.path.exists(folder + "/stop"):
        if os.path.exists(folder + "/go"):
            os.unlink(folder + "/go")
            for _ in range(int(sys.argv[2])):
                await asyncio.to_thread(write)
        await asyncio.sleep(0.2)
asyncio.run(main())
"""


async def writer(tmp_path: Path, warden: Warden, rounds: int = 3) -> tuple[ManagedProcess, Path]:
    folder = tmp_path / "var/lib/fleet-agent"
    folder.mkdir(parents=True)
    process = await ManagedProcess.spawn(
        "writer",
        [sys.executable, "-c", WRITER, tmp_path, str(rounds)],
        env={},
        cwd=tmp_path,
        log_path=tmp_path / "writer.log",
        warden=warden,
    )
    await process.wait_log("ready", since=0, deadline_s=WITHIN_S)
    return process, folder


def has(tracer: StepTracer, step: str) -> bool | None:
    return True if step in tracer.steps() else None


async def test_it_dies_before_the_chosen_call(tmp_path: Path, warden: Warden) -> None:
    """By SIGKILL, at the second fsync of that file by any thread; nothing of that call happened."""
    process, folder = await writer(tmp_path, warden)
    tracer = await StepTracer.attach(process, tmp_path, warden, kill_before="rename x.tmp #2")
    await tracer.begin()
    (folder / "go").touch()
    assert await process.wait_exit(WITHIN_S) == -signal.SIGKILL
    assert tracer.killed_before() == "rename x.tmp #2"
    steps = [step for step in tracer.steps() if "x.tmp" in step]
    assert [step for step in steps if step.startswith(("fsync", "rename"))] == [
        "fsync x.tmp #1",
        "rename x.tmp #1",
        "fsync x.tmp #2",
    ]
    assert {path.name for path in folder.iterdir()} == {"x", "x.tmp"}
    await tracer.close()


async def test_it_runs_on_when_the_tracer_leaves(tmp_path: Path, warden: Warden) -> None:
    """A second one may follow it then, and counts from one again; one that is killed takes nothing with it."""
    process, folder = await writer(tmp_path, warden)
    for _ in range(2):
        tracer = await StepTracer.attach(process, tmp_path, warden)
        await tracer.begin()
        (folder / "go").touch()
        await wait_for("three files", partial(has, tracer, "rename x.tmp #3"), deadline_s=WITHIN_S)
        assert tracer.killed_before() is None
        await tracer.close()
        assert process.running
    (folder / "stop").touch()
    assert await process.wait_exit(WITHIN_S) == 0


async def test_who_is_gone_cannot_be_followed(tmp_path: Path, warden: Warden) -> None:
    """One clear error."""
    process, _ = await writer(tmp_path, warden)
    await process.kill()
    with pytest.raises(ServiceError, match="follower-writer exited"):
        await StepTracer.attach(process, tmp_path, warden)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/r/var/lib/fleet-agent/deployments/.web.desired.tmp", "deployments/.web.desired.tmp"),
        ("/r/var/lib/fleet-agent/", "."),
        ("/runs/case/edge-1-agent-7.log", "log"),
        ("/proc/1234/cmdline", "/proc/N/cmdline"),
    ],
)
def test_paths_have_the_same_name_in_each_run(path: str, name: str) -> None:
    """Below the agent's own folder as they are, elsewhere without numbers."""
    assert path_name(path, "/r") == name


@pytest.mark.parametrize(
    ("peer", "sent", "name"),
    [
        (
            "podman",
            f"POST /v4.0.0/libpod/containers/{'ab' * 32}/stop?t=1 HTTP/1.1\r\n",
            "POST containers/ID/stop",
        ),
        ("nats", "HPUB $KV.device-state.state.edge-1.web 80 300\r\nNATS/1.0", "HPUB $KV.device-state.state.edge-1.web"),
        ("nats", "PUB _INBOX.xyz.1 5\r\n", "PUB _INBOX"),
        ("nats", "PING\r\n", "PING"),
        ("podman", "", ""),
    ],
)
def test_requests_have_the_same_name_in_each_run(peer: str, sent: str, name: str) -> None:
    """Without ids, queries and inboxes."""
    assert request_name(peer, sent.encode()) == name


async def test_counting_begins_in_the_middle_of_work(tmp_path: Path, warden: Warden) -> None:
    """However often it is told to count anew, and at whatever moment of its own writing, it follows on."""
    process, folder = await writer(tmp_path, warden, rounds=100_000)
    tracer = await StepTracer.attach(process, tmp_path, warden)
    (folder / "go").touch()
    for _ in range(TOLD_OFTEN):
        await tracer.begin()
    seen = len(tracer.steps())
    await wait_for("more steps", lambda: True if len(tracer.steps()) > seen else None, deadline_s=WITHIN_S)
    await tracer.close()
    await process.kill()
