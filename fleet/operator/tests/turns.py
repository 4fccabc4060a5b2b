"""Turns of the event loop, and time that passes when a test says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

from fleet.operator.recovery import Recovery

DEADLINE_S = 5.0
_TURNS = 60


def converged(recovery: Recovery, *, holds: bool = True) -> None:
    """Make every source current, or take one away."""
    if holds:
        for name in recovery.sources:
            recovery.current(name)
    else:
        recovery.lost(next(iter(recovery.sources)), "away")


async def turn() -> None:
    """Let every task that can go on do so."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


@asynccontextmanager
async def running(loop: Awaitable[None]) -> AsyncIterator[asyncio.Future[None]]:
    """Run a loop of the operator's meanwhile. A crash of its is the test's."""
    task = asyncio.ensure_future(loop)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (problem := task.exception()) is not None:
            raise problem


class Clock:
    """The event loop's clock, which a test can put forward: timers that are due then run without a wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._time = loop.time
        self._ahead_s = 0.0

    def time(self) -> float:
        return self._time() + self._ahead_s

    async def go_on(self, seconds: float) -> None:
        """Let `seconds` pass, and then all that can go on do so."""
        self._ahead_s += seconds
        await turn()


class Stopwatch:
    """Stands for the module `time` where standstills are noticed."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.cpu_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def process_time(self) -> float:
        return self.cpu_s
