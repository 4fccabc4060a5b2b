"""The warden: whatever way its harness ends, nothing is left; and it never kills a stranger."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.services import kernel_things, procfs
from harness.services.estates import STATE_VARIABLE
from harness.services.procfs import ProcessState
from harness.services.warden import TOKEN_VARIABLE, Warden
from harness.wait import wait_for

# A harness of its own: starts a process with a child, a process that left its session, and a folder.
HARNESS = """
import asyncio, pathlib, signal, subprocess, sys
from harness.services.process import ManagedProcess
from harness.services.warden import Warden

LEADER = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']" \\
    "{extra}); print(p.pid, flush=True); time.sleep(600)"

async def main():
    warden = Warden().start()
    folder = warden.temp_folder("fleetproof-test-", pathlib.Path(sys.argv[1]))
    (folder / "file").write_text("x")
    pids = []
    for extra in ("", ", start_new_session=True"):
        process = await ManagedProcess.spawn(
            "leader", [sys.executable, "-c", LEADER.replace("{extra}", extra)], env={}, cwd=folder,
            log_path=folder / f"{len(pids)}.log", warden=warden)
        child = await process.wait_log(r"^(\\d+)$", since=0, deadline_s=20)
        pids += [process.pid, int(child[1])]
    print(warden.pid, *pids, folder, flush=True)
    await asyncio.sleep(600)

# A job that a shell runs in the background inherits SIGINT ignored, one under nohup SIGHUP.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
asyncio.run(main())
"""
END_WITHIN_S = 20


def states(pids: list[int]) -> list[ProcessState]:
    """Of those that are alive."""
    found = [procfs.process_state(pid) for pid in pids]
    return [state for state in found if state is not None and state.alive]


@contextmanager
def sleeper(**environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of nobody's but the test's."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_nothing_outlives_the_harness(tmp_path: Path, end: signal.Signals) -> None:
    """However the harness's process group is ended, its processes, their children and its folders are gone."""
    pids, folder = run_harness_until(end, tmp_path)
    # The warden is one of them, and removes the folder before it exits.
    await wait_for("all of it to be gone", lambda: None if states(pids) else True, deadline_s=20)
    assert not folder.exists()


def run_harness_until(end: signal.Signals, tmp_path: Path) -> tuple[list[int], Path]:
    """Start it, end it once everything is up; its pids and its folder."""
    with subprocess.Popen(  # noqa: S603 - the test's own program, no shell
        [sys.executable, "-c", HARNESS, tmp_path],
        env={**os.environ, STATE_VARIABLE: str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as harness:
        assert harness.stdout is not None
        *numbers, folder = harness.stdout.readline().split()
        pids = [int(number) for number in numbers]
        assert len(states(pids)) == 5
        assert Path(folder).exists()
        # To the group, as a terminal does.
        os.killpg(harness.pid, end)
        try:
            harness.wait(END_WITHIN_S)
        finally:
            harness.kill()
    return pids, Path(folder)


def test_orderly_end_leaves_the_warden_nothing_to_do(tmp_path: Path) -> None:
    """What was released is not touched when the warden closes."""
    warden = Warden().start()
    folder = warden.temp_folder("kept-", tmp_path)
    warden.release_folder(folder)
    with sleeper() as process:
        warden.own_process(process.pid)
        warden.release_process(process.pid)
        warden.close()
        warden.close()
        assert process.poll() is None
    assert folder.exists()


def test_close_ends_what_was_not_released(tmp_path: Path) -> None:
    """Closing with things still registered ends them before it returns."""
    warden = Warden().start()
    folder = warden.temp_folder("left-", tmp_path)
    with sleeper() as process:
        warden.own_process(process.pid)
        assert warden.registered_pids == {process.pid}
        warden.close()
        assert process.wait(5) == -signal.SIGKILL
    assert not folder.exists()


def test_stopped_process_is_killed_too() -> None:
    """SIGSTOP does not save a process from its warden."""
    warden = Warden().start()
    with sleeper() as process:
        warden.own_process(process.pid)
        process.send_signal(signal.SIGSTOP)
        warden.close()
        assert process.wait(5) == -signal.SIGKILL


def test_reused_pid_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with a registered number but another start time is somebody else's."""
    warden = Warden().start()
    with sleeper() as stranger:
        real = procfs.process_state(stranger.pid)
        assert real is not None
        earlier = real._replace(start_ticks=real.start_ticks - 1)
        monkeypatch.setattr(procfs, "process_state", lambda _pid: earlier)
        warden.own_process(stranger.pid)
        monkeypatch.undo()
        warden.close()
        assert stranger.poll() is None


def test_kill_refuses_a_reused_pid() -> None:
    """The last check before the signal compares start times as well."""
    with sleeper() as stranger:
        state = procfs.process_state(stranger.pid)
        assert state is not None
        assert procfs.kill(state._replace(start_ticks=state.start_ticks - 1)) is False
        assert stranger.poll() is None
        assert procfs.kill(state) is True
        assert stranger.wait(5) == -signal.SIGKILL


def test_process_spawned_an_instant_before_the_end_is_found() -> None:
    """The warden's mark in the environment covers a process that was never registered."""
    warden = Warden().start()
    with sleeper(**{TOKEN_VARIABLE: warden.token}) as process, sleeper(**{TOKEN_VARIABLE: "another"}) as stranger:
        warden.close()
        assert process.wait(5) == -signal.SIGKILL
        assert stranger.poll() is None


def test_dead_warden_is_an_error() -> None:
    """Nothing is started without its owner of last resort."""
    warden = Warden().start()
    os.kill(warden.pid, signal.SIGKILL)
    with sleeper() as process:
        os.waitid(os.P_PID, warden.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(ServiceError, match=r"the warden .* is gone"):
            warden.own_process(process.pid)
    with pytest.raises(ServiceError, match="exit code -9"):
        warden.close()


def test_folder_that_cannot_be_removed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is kept busy is an error with its path, and stays registered."""
    with Warden() as warden:
        folder = warden.temp_folder("busy-", tmp_path)

        def refuse(_path: Path) -> None:
            raise OSError(39, "Directory not empty")

        monkeypatch.setattr("harness.services.warden.remove_folder", refuse)
        with pytest.raises(ServiceError, match=r"busy-.*cannot be removed: Directory not empty"):
            warden.remove_folder(folder)
        assert warden.registered_folders == {folder}
        monkeypatch.undo()
        warden.remove_folder(folder)
        assert not folder.exists()
        assert not warden.registered_folders


# A harness of its own: a mount in its folder, a named network namespace, a control group with a process in it.
THINGS = """
import os, pathlib, subprocess, sys, time
from harness.services.warden import Warden

warden = Warden().start()
folder = warden.temp_folder("fleetproof-test-", pathlib.Path(sys.argv[1]))
disk, name, group = folder / "disk", sys.argv[2], pathlib.Path(sys.argv[3])
disk.mkdir()
warden.own_mount(disk)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=True)
(disk / "file").write_text("x")
warden.own_thing("netns", name)
subprocess.run(["ip", "netns", "add", name], check=True)
warden.own_thing("cgroup", str(group))
group.mkdir()
member = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
(group / "cgroup.procs").write_text(str(member.pid))
print(warden.pid, folder, member.pid, flush=True)
if sys.argv[4] == "in order":
    warden.end_thing("cgroup", str(group))
    warden.end_thing("netns", name)
    warden.release_mount(disk)
    print(sorted(warden.registered_things), os.path.ismount(disk), flush=True)
time.sleep(600)
"""
GROUPS = Path("/sys/fs/cgroup/memory") if Path("/sys/fs/cgroup/memory").is_dir() else Path("/sys/fs/cgroup")


def mounted_below(folder: str) -> list[str]:
    return [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if folder in line]


@contextmanager
def harness_with_things(tmp_path: Path, how: str) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """The program, started; the name of its namespace, as a path, and its control group."""
    name = f"fleetproof-test-{os.getpid()}"
    group = GROUPS / name
    with subprocess.Popen(  # noqa: S603 - the test's own program, no shell
        [sys.executable, "-c", THINGS, tmp_path, name, group, how], stdout=subprocess.PIPE, text=True
    ) as harness:
        try:
            yield harness, kernel_things.NETNS_FOLDER / name, group
        finally:
            harness.kill()


@pytest.mark.needs("netns")
@pytest.mark.parametrize("how", ["at once", "in order"])
async def test_mounts_namespaces_and_groups_do_not_outlive_the_harness(tmp_path: Path, how: str) -> None:
    """After a SIGKILL of the harness the kernel has none of it; what the harness took away itself is gone before."""
    with harness_with_things(tmp_path, how) as (harness, netns, group):
        assert harness.stdout is not None
        warden, folder, member = harness.stdout.readline().split()
        if how == "in order":
            assert harness.stdout.readline() == "[] False\n"
            assert not netns.exists()
            assert not group.exists()
        else:
            assert (Path(folder) / "disk" / "file").exists()
            assert netns.exists()
            assert member in (group / "cgroup.procs").read_text().split()
        harness.kill()
        await wait_for("the warden to end", lambda: None if states([int(warden)]) else True, deadline_s=20)
    assert [path for path in (netns, group, Path(folder)) if path.exists()] == []
    assert not mounted_below(folder)
    assert not states([int(member)])


def test_a_thing_that_stays_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be taken away is an error with its name, and stays registered; what was never made is no error."""
    with Warden() as warden:
        warden.own_mount(Path("/nowhere/disk"))

        def refuse(_kind: str, _name: str) -> None:
            raise OSError(16, "Device or resource busy")

        with monkeypatch.context() as patched:
            patched.setattr(kernel_things, "end", refuse)
            with pytest.raises(ServiceError, match=r"mount /nowhere/disk: cannot be taken away: Device"):
                warden.release_mount(Path("/nowhere/disk"))
        assert warden.registered_things == {("mount", "/nowhere/disk")}
        warden.release_mount(Path("/nowhere/disk"))
        warden.release_mount(Path("/nowhere/disk"))
        assert not warden.registered_things
