"""A device host runs real containers, loses all at once with its power but its disk, and leaves nothing."""

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.history import Process, Recorder
from harness.leaks import LeakAudit
from harness.services import procfs
from harness.services.agent import start_agent
from harness.services.device_host import DeviceHost
from harness.services.estates import STATE_VARIABLE, clear_left_overs
from harness.services.payload_images import image
from harness.services.tools import run_tool
from harness.services.warden import Warden
from harness.tests.conftest import NewHost
from harness.tests.test_warden import GROUPS, mounted_below, states
from harness.wait import wait_for

pytestmark = pytest.mark.needs("podman")

WITHIN_S = 20.0
GET_PARENT = 0xB702
"""NS_GET_PARENT, an ioctl."""


def spaces_of(pid: int) -> list[int]:
    """The process namespaces that it is in, by number: its own, and those around it, a container's host among them."""
    found = []
    descriptor = os.open(procfs.PROC / str(pid) / "ns" / "pid", os.O_RDONLY | os.O_CLOEXEC)
    while True:
        found.append(os.fstat(descriptor).st_ino)
        try:
            outer = fcntl.ioctl(descriptor, GET_PARENT)
        except PermissionError:
            # Ours: what is around it is not shown.
            return found
        finally:
            os.close(descriptor)
        descriptor = outer


def inhabitants(space: int) -> list[int]:
    """The processes of a process namespace, those of its containers too."""
    found = []
    for state in procfs.processes():
        with contextlib.suppress(OSError):
            if state.alive and space in spaces_of(state.pid):
                found.append(state.pid)
    return found


def gone(pid: int) -> bool | None:
    return None if states([pid]) else True


def space_of(pid: int) -> int:
    return spaces_of(pid)[0]


async def state_of(host: DeviceHost, name: str) -> str:
    return await host.podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", name)


async def test_a_published_port_is_reached_from_within(host: DeviceHost) -> None:
    """A container answers on its host's port, and nobody outside can reach that."""
    await host.podman("run", "--detach", "--publish=8080:80", image("v2"), "serve", "80")

    async def answer() -> str:
        return await run_tool(*host.enter("busybox", "wget", "-qO-", "http://127.0.0.1:8080/"), within_s=5)

    assert await wait_for("an answer", answer, deadline_s=WITHIN_S, expect=(ServiceError,)) == "v2"
    with pytest.raises(OSError, match="8080"):
        await asyncio.open_connection("127.0.0.1", 8080)


async def test_payloads_behave_as_they_are_told(host: DeviceHost) -> None:
    """One ends at once on SIGTERM, one only by SIGKILL, one by itself, with its code; by command or by environment."""
    await host.podman("run", "--detach", "--name=sleep", image("v1"))
    await host.podman("run", "--detach", "--name=stubborn", "--env=BEHAVIOUR=stubborn", image("v1"))
    with pytest.raises(ServiceError, match="exit code 7"):
        await host.podman("run", "--name=exit", image("v3"), "exit", "7", "0.05")
    for name in ("sleep", "stubborn"):
        await wait_for(f"{name} to speak", partial(_words, host, name), deadline_s=WITHIN_S)
    await host.podman("stop", "--time=5", "sleep")
    await host.podman("stop", "--time=0", "stubborn")
    assert await state_of(host, "sleep") == "exited 0"
    assert await state_of(host, "stubborn") == "exited 137"
    assert await state_of(host, "exit") == "exited 7"
    assert await host.podman("logs", "exit") == "payload v3: exit 7 0.05"


async def _words(host: DeviceHost, name: str) -> str | None:
    return await host.podman("logs", name) or None


async def test_a_power_cut_takes_all_but_the_disk(host: DeviceHost, recorder: Recorder) -> None:
    """Payloads, podman and agent are gone at once; after the boot images, containers and files are there."""
    await host.podman("run", "--detach", "--name=ran", image("v1"))
    await host.podman("run", "--name=ended", image("v1"), "exit", "0")
    agent = await start_agent(["sleep", "600"], host, name="agent-1", nats_url="nats://nowhere:1")
    (host.root / "kept").write_text("x")
    (host.folder / "run" / "volatile").write_text("x")
    boot = await run_tool(*host.enter("cat", "/proc/sys/kernel/random/boot_id"), within_s=5)
    space = space_of(agent.pid)
    # Process 1, podman, conmon, the payload, the agent.
    assert len(inhabitants(space)) >= 5

    await host.power_cut()
    assert inhabitants(space) == []
    assert agent.exit_code == -9
    assert not host.powered
    with pytest.raises(ServiceError, match="device-1 has no power"):
        await host.podman("ps")
    await host.power_cut()

    await host.power_on()
    # Podman's word for a container that ran when the power went.
    assert await state_of(host, "ran") == "created 0"
    assert await state_of(host, "ended") == "exited 0"
    assert (host.root / "kept").exists()
    assert not (host.folder / "run" / "volatile").exists()
    assert await run_tool(*host.enter("cat", "/proc/sys/kernel/random/boot_id"), within_s=5) != boot
    await host.podman("start", "ran")
    assert await state_of(host, "ran") == "running 0"
    lives = [(r.name, r.event) for r in recorder.history().of(Process) if r.name in {"device-1", "agent-1"}]
    assert lives == [
        ("device-1", "spawned"),
        ("agent-1", "spawned"),
        ("device-1", "signalled"),
        *sorted([("agent-1", "exited"), ("device-1", "exited")]),
        ("device-1", "spawned"),
    ]


async def test_two_hosts_share_nothing(new_host: NewHost) -> None:
    """The same names and ports on both at once; one loses its power, the other goes on."""
    one, two = await asyncio.gather(new_host("device-1"), new_host("device-2"))
    for host in (one, two):
        await host.podman("run", "--detach", "--name=web", "--publish=8080:80", image("v1"), "serve", "80")
    assert await run_tool(*one.enter("hostname"), within_s=5) == "device-1"
    await one.podman("rm", "--force", "--time=0", "web")
    assert await state_of(two, "web") == "running 0"
    await one.power_cut()
    assert await state_of(two, "web") == "running 0"
    await one.power_on()
    await one.podman("run", "--detach", "--name=web", "--publish=8080:80", image("v1"), "serve", "80")


async def test_containers_outlive_the_service(host: DeviceHost) -> None:
    """Podman's service goes away with its socket, its containers run on; then it is back."""
    await host.podman("run", "--detach", "--name=web", image("v1"))
    await host.stop_podman()
    assert not host.socket.exists()
    assert await state_of(host, "web") == "running 0"
    await host.stop_podman()
    await host.start_podman()
    assert host.socket.is_socket()
    assert host.socket.parent.stat().st_mode & 0o777 == 0o700
    assert host.folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(ServiceError, match="runs already"):
        await host.start_podman()


async def test_limits_hold(host: DeviceHost) -> None:
    """A container's memory is bounded by the kernel, in the host's own control group."""
    web = await host.podman("run", "--detach", "--memory=64m", "--cpus=0.5", image("v1"))
    limit = "memory/memory.limit_in_bytes" if GROUPS.name == "memory" else "memory.max"
    assert await host.podman("exec", web, "cat", f"/sys/fs/cgroup/{limit}") == str(64 * 1024 * 1024)


async def test_a_host_that_is_not_closed_is_told(payload_storage: Path, tmp_path: Path, warden: Warden) -> None:
    """The leak audit names its processes, its folder and its control groups."""
    audit = LeakAudit(warden)
    await audit.before()
    host = await DeviceHost.start("device-1", logs=tmp_path, warden=warden, storage=payload_storage)
    told = await audit.after(settle_s=0.1)
    await host.close()
    assert {line.split(" ")[0] for line in told} == {"cgroup", "process", "temp"}
    await audit.check()


async def test_a_host_that_is_not_closed_ends_with_its_warden(payload_storage: Path, tmp_path: Path) -> None:
    """Also while nobody reaps what was killed."""
    with Warden() as warden:
        host = await DeviceHost.start("device-1", logs=tmp_path, warden=warden, storage=payload_storage)
        first = host.enter()[2]
        await host.spawn("agent", ["sleep", "600"])
    assert not host.folder.exists()
    assert states([int(first)]) == []


async def test_a_host_that_does_not_start_leaves_nothing(
    tmp_path: Path, warden: Warden, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without podman the start is an error with its words, and there is nothing to clean up."""
    audit = LeakAudit(warden)
    await audit.before()
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    with pytest.raises(ServiceError, match="podman cannot be started: No such file"):
        await DeviceHost.start("device-1", logs=tmp_path, warden=warden)
    await audit.check()


HARNESS = """
import asyncio, pathlib, sys
from harness.services.device_host import DeviceHost
from harness.services.payload_images import image
from harness.services.warden import Warden

async def main():
    warden = Warden().start()
    folder, storage = map(pathlib.Path, sys.argv[1:])
    host = await DeviceHost.start("device-1", logs=folder, warden=warden, storage=storage, nats_address="127.0.0.1:1")
    await host.podman("run", "--detach", "--publish=8080:80", image("v1"), "serve", "80")
    agent = await host.spawn("agent", ["sleep", "600"])
    print(warden.pid, agent.pid, host.folder, host.link.device, *host._groups.paths, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("warden_too", [False, True], ids=["harness", "harness-and-warden"])
async def test_nothing_outlives_a_harness_that_was_killed(
    tmp_path: Path, payload_storage: Path, *, warden_too: bool
) -> None:
    """Its warden, or the next run, takes away all of the host: processes, folder, cable, control groups, mounts."""
    with subprocess.Popen(  # noqa: ASYNC220, S603 - the test's own program, no shell; it takes no wait
        [sys.executable, "-c", HARNESS, tmp_path, payload_storage],
        env={**os.environ, STATE_VARIABLE: str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as harness:
        try:
            assert harness.stdout is not None
            words = (await asyncio.to_thread(harness.stdout.readline)).split()
            warden, agent, folder, device, *groups = words
            space = space_of(int(agent))
            places = [Path(folder), Path("/sys/class/net") / device, *map(Path, groups)]
            assert len(inhabitants(space)) >= 5
            assert [path for path in places if not path.exists()] == []
            if warden_too:
                os.kill(int(warden), signal.SIGKILL)
                await wait_for("its warden to end", partial(gone, int(warden)), deadline_s=WITHIN_S)
        finally:
            harness.kill()
    if warden_too:
        assert [path for path in places if not path.exists()] == []
        (told,) = await asyncio.to_thread(lambda: list(clear_left_overs({STATE_VARIABLE: str(tmp_path)})))
        assert "together with its warden" in told
        assert "left:" not in told
    await wait_for("its warden to end", partial(gone, int(warden)), deadline_s=WITHIN_S)
    await wait_for(
        "all of it to be gone",
        lambda: None if any(path.exists() for path in places) else True,
        deadline_s=WITHIN_S,
    )
    assert inhabitants(space) == []
    assert mounted_below(folder) == []


async def test_a_long_temporary_folder(new_host: NewHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path is longer than a socket's address may be: podman answers all the same, and an agent reaches it."""
    long = tmp_path / ("a-temporary-folder-of-somebody-else-" * 4)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    host = await new_host()
    words = ("import os, socket", "socket.socket(socket.AF_UNIX).connect(os.environ['FLEET_PODMAN_SOCKET'])")
    agent = await start_agent([sys.executable, "-c", "; ".join(words)], host, name="agent", nats_url="nats://h:1")
    assert await agent.wait_exit(WITHIN_S) == 0
