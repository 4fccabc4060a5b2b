"""A managed process: its exit is an event, its group dies with it, its log marks hold."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from harness.errors import ServiceError, WaitTimeout
from harness.history import Process, Recorder
from harness.services import procfs
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.wait import wait_for

FOR_EVER = "import time; print('up', flush=True); time.sleep(600)"
# Says so and lives on when asked to end.
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True)); {FOR_EVER}"
WITH_CHILD = (
    "import subprocess, sys;"
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True);" + FOR_EVER
)

Spawn = Callable[[str], Coroutine[Any, Any, ManagedProcess]]


@pytest.fixture
async def spawn(tmp_path: Path, warden: Warden, recorder: Recorder) -> AsyncIterator[Spawn]:
    """Starts Python programs; all of them are gone after the test."""
    started: list[ManagedProcess] = []

    async def start(code: str) -> ManagedProcess:
        process = await ManagedProcess.spawn(
            "victim",
            [sys.executable, "-c", code],
            env={"GREETING": "hello"},
            cwd=tmp_path,
            log_path=tmp_path / "victim.log",
            warden=warden,
            recorder=recorder,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        await process.kill()


async def test_exit_is_noticed_and_recorded_once(spawn: Spawn, recorder: Recorder) -> None:
    """The exit code arrives without polling, and the history has one line of it."""
    process = await spawn("raise SystemExit(3)")
    assert await process.wait_exit(20) == 3
    await process.kill()
    events = [(r.event, r.exit_code) for r in recorder.history().of(Process)]
    assert events == [("spawned", None), ("exited", 3)]


async def test_kill_is_recorded_before_its_effect(spawn: Spawn, recorder: Recorder) -> None:
    """SIGKILL ends it with -9; the signal stands before the exit."""
    process = await spawn(FOR_EVER)
    assert await process.kill() == -signal.SIGKILL
    events = [(r.event, r.signal, r.exit_code) for r in recorder.history().of(Process)]
    assert events == [("spawned", None, None), ("signalled", "SIGKILL", None), ("exited", None, -9)]


async def test_kill_takes_the_whole_group(spawn: Spawn) -> None:
    """A child of the process is dead when kill returns."""
    process = await spawn(WITH_CHILD)
    child = int((await process.wait_log(r"^(\d+)$", since=0, deadline_s=20))[1])
    assert any(m.pid == child for m in procfs.group_members(process.pid))
    await process.kill()
    state = procfs.process_state(child)
    assert state is None or not state.alive


async def test_kill_waits_for_the_last_of_the_group(spawn: Spawn, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a member of the group is still dying, kill has not returned."""
    process = await spawn(FOR_EVER)
    dying = procfs.process_state(process.pid)
    assert dying is not None
    looks = [[dying], [dying], []]
    monkeypatch.setattr(procfs, "group_members", lambda _group: looks.pop(0))
    await process.kill()
    assert looks == []


async def test_children_die_when_the_process_ends_by_itself(spawn: Spawn) -> None:
    """What a process leaves in its group does not outlive it."""
    process = await spawn(WITH_CHILD.replace(FOR_EVER, "pass"))
    await process.wait_exit(20)

    def gone() -> bool | None:
        return None if procfs.group_members(process.pid) else True

    await wait_for("the group to be gone", gone, deadline_s=5)


async def test_stop_ends_a_stopped_process(spawn: Spawn) -> None:
    """A process under SIGSTOP wakes up for its SIGTERM and ends in its own way."""
    process = await spawn(f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); {FOR_EVER}")
    await process.wait_log("up", since=0, deadline_s=20)
    process.signal(signal.SIGSTOP)
    assert await process.stop(grace_s=10) == 7


async def test_stop_kills_after_the_grace(spawn: Spawn) -> None:
    """A process that ignores SIGTERM is killed."""
    process = await spawn(STUBBORN)
    await process.wait_log("up", since=0, deadline_s=20)
    assert await process.stop(grace_s=0.2) == -signal.SIGKILL
    assert "no" in process.tail()


async def test_exited_process_cannot_be_signalled(spawn: Spawn) -> None:
    """A signal to a dead process is an error, never a signal to whoever has its number now."""
    process = await spawn("pass")
    await process.wait_exit(20)
    with pytest.raises(ServiceError, match=r"victim .* exited with 0: it cannot get SIGSTOP"):
        process.signal(signal.SIGSTOP)


async def test_wait_exit_has_a_deadline(spawn: Spawn) -> None:
    """A process that lives on ends the wait with its name."""
    process = await spawn(FOR_EVER)
    with pytest.raises(WaitTimeout, match=r"victim .* did not exit within 0.05 s"):
        await process.wait_exit(0.05)


async def test_log_mark_hides_what_an_earlier_life_wrote(spawn: Spawn) -> None:
    """The same line logged before the mark never matches."""
    first = await spawn("print('ready 1')")
    await first.wait_exit(20)
    mark = first.log_mark()
    second = await spawn("print('ready 2')")
    found = await second.wait_log(r"ready (\d)", since=mark, deadline_s=20)
    assert found[1] == "2"
    assert (await second.wait_log(r"ready (\d)", since=0, deadline_s=20))[1] == "1"


async def test_half_a_line_does_not_match(spawn: Spawn) -> None:
    """A number that is still being written is not taken for the whole number."""
    process = await spawn(
        "import sys, signal\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('34', flush=True))\n"
        "print('pid', flush=True)\n"
        "sys.stdout.write('port 12'); sys.stdout.flush()\n"
        "while True: signal.pause()"
    )
    await process.wait_log("pid", since=0, deadline_s=20)
    with pytest.raises(WaitTimeout):
        await process.wait_log(r"port (\d+)", since=0, deadline_s=0.1)
    process.signal(signal.SIGUSR1)
    assert (await process.wait_log(r"port (\d+)", since=0, deadline_s=20))[1] == "1234"


async def test_log_wait_ends_with_the_process(spawn: Spawn) -> None:
    """A process that exits before the line ends the wait at once, with its last words."""
    process = await spawn("raise SystemExit('no such bucket')")
    with pytest.raises(ServiceError, match=r"exited with 1 before it logged 'ready'; its log ends: no such bucket"):
        await process.wait_log("ready", since=0, deadline_s=60)


async def test_environment_is_what_was_given(spawn: Spawn) -> None:
    """Nothing of the harness's own environment leaks in, but the warden's mark."""
    process = await spawn("import os; print(sorted(k for k in os.environ if not k.startswith('LC_')))")
    found = await process.wait_log(r"\[.*\]", since=0, deadline_s=20)
    assert found[0] == "['FLEETPROOF_WARDEN', 'GREETING']"


async def test_log_is_private(spawn: Spawn) -> None:
    """Logs may hold tokens: only the user reads them."""
    process = await spawn("pass")
    assert process.log_path.stat().st_mode & 0o777 == 0o600


async def test_missing_program_is_one_clear_line(tmp_path: Path, warden: Warden) -> None:
    """A binary that is not there is named."""
    with pytest.raises(ServiceError, match="ghost: /no/such/binary cannot be started: No such file"):
        await ManagedProcess.spawn(
            "ghost", ["/no/such/binary"], env={}, cwd=tmp_path, log_path=tmp_path / "ghost.log", warden=warden
        )


async def test_exit_is_on_time(spawn: Spawn, recorder: Recorder) -> None:
    """The history has the exit within 50 ms of the kill."""
    process = await spawn(FOR_EVER)
    await process.wait_log("up", since=0, deadline_s=20)
    os.kill(process.pid, signal.SIGKILL)
    before = recorder.now_s
    await process.wait_exit(5)
    exited = [r for r in recorder.history().of(Process) if r.event == "exited"]
    assert exited[0].at_s - before < 0.05


async def test_cancelled_wait_leaves_the_process_alone(spawn: Spawn) -> None:
    """Who stops waiting does not end what he waited for."""
    process = await spawn(FOR_EVER)
    waiter = asyncio.create_task(process.wait_exit(60))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert process.running


async def test_the_last_words_of_one_that_failed_are_recorded(spawn: Spawn, recorder: Recorder) -> None:
    """An error of its own is told with the end of the log; a signal or a good end needs no words."""
    for code, words in (("import sys; sys.exit('no rights')", "no rights"), ("print('bye')", ""), (FOR_EVER, "")):
        process = await spawn(code)
        if code is FOR_EVER:
            await process.kill()
        await process.wait_exit(10)
        ended = [record for record in recorder.history().of(Process) if record.pid == process.pid][-1]
        assert (ended.event, ended.last_words) == ("exited", words)
