"""What systemd hears: a socket of the test stands in its place."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.agent.watchdog import Watchdog

DEADLINE_S = 10.0


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify") if request.param == "path" else f"\0fleet-{os.getpid()}")
        listener.settimeout(DEADLINE_S)
        yield listener


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    address = manager.getsockname()
    return {"NOTIFY_SOCKET": address if isinstance(address, str) else f"@{address[1:].decode()}"} | more


def test_what_it_is_told(manager: socket.socket) -> None:
    """Each word is one datagram; a status is one short line."""
    watchdog = Watchdog.from_environment(environment(manager))
    watchdog.ready()
    watchdog.status("waits for\nthe device lock " + "x" * 500)
    watchdog.stopping()
    words = [manager.recv(4096).decode() for _ in range(3)]
    assert words[0] == "READY=1"
    assert words[1].startswith("STATUS=waits for the device lock xxx")
    assert len(words[1]) == len("STATUS=") + 200
    assert words[2] == "STOPPING=1"
    assert watchdog.interval_s is None


async def test_it_beats_while_the_loops_live(manager: socket.socket) -> None:
    """Three times an interval; not while they are not alive; and for ever."""
    watchdog = Watchdog.from_environment(environment(manager, WATCHDOG_USEC="30000", WATCHDOG_PID=str(os.getpid())))
    assert watchdog.interval_s == 0.03
    answers = iter([True, False, True])
    asked = asyncio.Event()

    def alive() -> bool:
        answer = next(answers, None)
        if answer is None:
            asked.set()
        return bool(answer)

    beating = asyncio.ensure_future(watchdog.run(alive))
    async with asyncio.timeout(DEADLINE_S):
        await asked.wait()
    beating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await beating
    manager.setblocking(False)
    assert [manager.recv(100), manager.recv(100)] == [b"WATCHDOG=1"] * 2
    with pytest.raises(BlockingIOError):
        manager.recv(100)


@pytest.mark.parametrize(
    "more", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}]
)
async def test_not_watched(manager: socket.socket, more: dict[str, str]) -> None:
    """Without an interval, with garbage for one, or with one for another process, nothing is sent."""
    watchdog = Watchdog.from_environment(environment(manager, **more))
    async with asyncio.timeout(DEADLINE_S):
        await watchdog.run(lambda: True)
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)


@pytest.mark.parametrize("path", [None, "", "relative", "vsock:2:1", "/nowhere/notify", "/" + "n" * 200])
def test_nobody_listens(path: str | None) -> None:
    """No manager, one of another kind, one that is gone: no trouble of ours."""
    watchdog = Watchdog.from_environment({"NOTIFY_SOCKET": path} if path is not None else {})
    watchdog.ready()
    watchdog.stopping()


def test_a_manager_that_does_not_read(manager: socket.socket) -> None:
    """Its full queue does not stop what it watches."""
    watchdog = Watchdog.from_environment(environment(manager))
    for _ in range(1000):
        watchdog.status("on and on")
    assert manager.recv(100) == b"STATUS=on and on"
