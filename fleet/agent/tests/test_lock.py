"""The device lock: one holder at a time, by the kernel's word; whoever waits is woken, and may stop waiting."""

import asyncio
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import fleet
from fleet.agent.lock import DeviceLock
from fleet.errors import ArtifactError

DEADLINE_S = 20.0
# Holds the lock by itself, then says so and waits for its end.
HOLDER = """
import asyncio, sys
from pathlib import Path
from fleet.agent.lock import DeviceLock

async def main():
    lock = await DeviceLock.acquire(Path(sys.argv[1]), version="1.0", taken=print)
    print("held", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "device.lock"


@pytest.fixture
def dead(path: Path) -> Path:
    """As a holder left it that is gone."""
    path.write_text("pid 4294967295, version that was much longer than this one\n")
    return path


def said(path: Path) -> str:
    return path.read_text()


def free(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def remove(path: Path) -> None:
    path.unlink()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has it."""
    pipe = subprocess.PIPE
    command: list[str | Path] = [sys.executable, "-c", HOLDER, path]
    env = {"PYTHONPATH": str(Path(fleet.__file__).parent.parent)}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=env, text=True) as process:  # noqa: S603 - its own arguments
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


async def acquire(path: Path, told: list[str] | None = None) -> DeviceLock:
    async with asyncio.timeout(DEADLINE_S):
        return await DeviceLock.acquire(path, version="1.4.2", taken=(told if told is not None else []).append)


def blocked() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "device-lock"]


async def waiting(path: Path, told: list[str]) -> "asyncio.Task[DeviceLock]":
    """A task that has been told who holds it."""
    holder_known = asyncio.Event()

    def taken(holder: str) -> None:
        told.append(holder)
        holder_known.set()

    task = asyncio.ensure_future(DeviceLock.acquire(path, version="1.4.2", taken=taken))
    async with asyncio.timeout(DEADLINE_S):
        await holder_known.wait()
    return task


async def test_a_free_one_is_taken_at_once(dead: Path) -> None:
    """No thread, no word; the file says to people who holds it, whatever stood there."""
    told: list[str] = []
    lock = await acquire(dead, told)
    assert not told
    assert not blocked()
    assert said(dead) == f"pid {os.getpid()}, version 1.4.2\n"
    lock.release()
    lock.release()
    (await acquire(dead)).release()


async def test_it_is_made(path: Path) -> None:
    """The first agent of a device makes the file, for root only."""
    lock = await acquire(path)
    assert mode(path) == 0o600
    lock.release()


@pytest.mark.rule("A30")
async def test_a_killed_holder_gives_it_up(path: Path, holder: subprocess.Popen[str]) -> None:
    """The one that waits knows who has it, and is woken by the kernel when that one dies."""
    told: list[str] = []
    task = await waiting(path, told)
    assert told == [f"pid {holder.pid}, version 1.0"]
    assert not task.done()
    holder.kill()
    async with asyncio.timeout(DEADLINE_S):
        lock = await task
    assert said(path) == f"pid {os.getpid()}, version 1.4.2\n"
    lock.release()


@pytest.mark.rule("A30")
async def test_of_many_one_at_a_time(path: Path) -> None:
    """Each gets it once, none beside another."""
    held = most = 0

    async def hold() -> None:
        nonlocal held, most
        lock = await acquire(path)
        held += 1
        most = max(most, held)
        await asyncio.sleep(0)
        held -= 1
        lock.release()

    await asyncio.gather(*(hold() for _ in range(8)))
    assert most == 1


async def test_a_cancelled_wait_holds_nothing(path: Path) -> None:
    """Its thread gives the lock back when it gets it, and ends."""
    first = await acquire(path)
    task = await waiting(path, [])
    threads = blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    first.release()
    # Behind the one that gives up.
    (await acquire(path)).release()
    for thread in threads:
        await asyncio.to_thread(thread.join, DEADLINE_S)
    assert not blocked()


async def test_cancelled_when_it_is_just_there(path: Path) -> None:
    """Woken and cancelled in the same moment: the lock does not stay behind."""
    first = await acquire(path)
    task = await waiting(path, [])
    (thread,) = blocked()
    first.release()
    # Not on the loop: it must not see the news before the cancellation.
    thread.join(DEADLINE_S)
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    (await acquire(path)).release()


def test_a_loop_that_is_gone(path: Path) -> None:
    """The thread of a process that ended its loop while it waited gives the lock back."""
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)

    async def give_up() -> None:
        (await waiting(path, [])).cancel()

    asyncio.run(give_up())
    (thread,) = blocked()
    os.close(held)
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    asyncio.run(acquire(path)).release()


async def test_a_file_that_was_removed_is_no_lock(path: Path) -> None:
    """Whoever gets the lock of a file that is not there any more takes that of the one that is."""
    first = await acquire(path)
    task = await waiting(path, [])
    remove(path)
    second = await acquire(path)
    first.release()
    second.release()
    async with asyncio.timeout(DEADLINE_S):
        lock = await task
    assert not free(path)
    lock.release()


async def test_a_file_that_was_removed_is_made_again(path: Path) -> None:
    """The next one can be told who holds the device."""
    first = await acquire(path)
    task = await waiting(path, [])
    remove(path)
    first.release()
    async with asyncio.timeout(DEADLINE_S):
        lock = await task
    assert said(path) == f"pid {os.getpid()}, version 1.4.2\n"
    assert not free(path)
    lock.release()


async def test_what_can_not_be_locked_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing folder, and a file system that has no locks."""
    with pytest.raises(ArtifactError, match=r"absent/device.lock: can't be locked: No such file or directory; is its"):
        await acquire(path.parent / "absent" / "device.lock")

    def refuse(*_: object) -> None:
        raise OSError(37, os.strerror(37))

    first = await acquire(path)
    task = await waiting(path, [])
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ArtifactError, match=r"device.lock: can't be locked: No locks available"):
        await acquire(path)
    first.release()
    (await task).release()


async def test_a_wait_that_fails_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trouble in the thread is raised where it is waited for."""
    first = await acquire(path)
    real = fcntl.flock

    def refuse(descriptor: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            raise OSError(37, os.strerror(37))
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ArtifactError, match=r"device.lock: can't be locked: No locks available"):
        await acquire(path)
    first.release()


async def test_a_full_disk_is_no_reason_not_to_hold_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the file says is for people."""

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "pwrite", full)
    (await acquire(path)).release()
