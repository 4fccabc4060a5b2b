"""One look at the runtime for all slots together: when something changed, when a slot asks, and at every tick.

Looks are counted by tickets: `ask()` returns one, and a look that began later has it behind it (`seen`). So whoever has
just done something can tell a list that shows it from one that was already under way.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic

from fleet.agent.model import Container
from fleet.agent.runtime.protocol import ContainerRuntime, RuntimeTrouble
from fleet.backoff import Backoff
from fleet.logs import get_logger

# A look is two calls with a deadline of 30 s each, and a pause of 5 s after one that failed.
_LOOK_S_MAX = 120.0


class Observer:
    """`containers` are as of the last look that was answered; `away` says why there is no newer one, or is None."""

    def __init__(self, runtime: ContainerRuntime, tick_s: float, looked: Callable[[], None]) -> None:
        """`looked` is called after each answer, and when answers begin to fail."""
        self.containers: Sequence[Container] = ()
        self.away: str | None = None
        self.seen = 0
        self._runtime = runtime
        self._tick_s = tick_s
        self._looked = looked
        self._asked = 1
        self._wake = asyncio.Event()
        self._wake.set()
        self._ended_s = monotonic()
        self._log = get_logger("observer")

    def moves(self, now_s: float) -> bool:
        """Whether a look ended, with an answer or without one, as lately as it must have; `now_s` is monotonic."""
        return now_s - self._ended_s <= self._tick_s + _LOOK_S_MAX

    def ask(self) -> int:
        """The ticket of a look that begins after this call."""
        self._asked += 1
        self._wake.set()
        return self._asked

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_again_and_again())
            group.create_task(self._follow())

    async def _look_again_and_again(self) -> None:
        backoff = Backoff()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._tick_s):
                    await self._wake.wait()
            self._wake.clear()
            ticket, began_s = self._asked, monotonic()
            try:
                containers = await self._runtime.containers()
            except RuntimeTrouble as e:
                self._ended_s = monotonic()
                if self.away is None:
                    self.away = str(e)
                    self._log.warning("runtime_away", reason=self.away)
                    self._looked()
                await asyncio.sleep(backoff.delay_s(lasted_s=monotonic() - began_s))
                self._wake.set()
                continue
            if self.away is not None:
                self._log.info("runtime_back")
            backoff = Backoff()
            self.containers, self.away, self.seen, self._ended_s = containers, None, ticket, monotonic()
            self._looked()

    async def _follow(self) -> None:
        """What is missed while this does not work is found by the tick."""
        backoff = Backoff()
        while True:
            began_s = monotonic()
            with suppress(RuntimeTrouble):
                async for _ in self._runtime.changes():
                    self.ask()
            await asyncio.sleep(backoff.delay_s(lasted_s=monotonic() - began_s))
            self.ask()
