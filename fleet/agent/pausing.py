"""How the agent's loops wait: for an event, at most so long; after trouble that is said once, longer each time."""

import asyncio
import random
from time import monotonic

from fleet.backoff import Backoff
from fleet.errors import PeerError
from fleet.logs import Logger


class Pauses:
    """One loop's attempts at the broker. `said` is the trouble that it is in, None while all is well."""

    def __init__(self, log: Logger, event: str) -> None:
        self.said: str | None = None
        self._log = log
        self._event = event
        self._backoff = Backoff()
        self._began_s = monotonic()

    def begin(self) -> None:
        """An attempt begins now."""
        self._began_s = monotonic()

    def succeeded(self) -> None:
        if self.said is not None:
            self.said = None
            self._log.info(f"{self._event}_again")
        self._backoff = Backoff()

    async def after(self, trouble: PeerError, wake: asyncio.Event) -> None:
        """Wait before the next attempt, no longer than until `wake` is set."""
        if str(trouble) != self.said:
            self.said = str(trouble)
            self._log.warning(f"{self._event}_waits", reason=self.said)
        await set_within(wake, self._backoff.delay_s(lasted_s=monotonic() - self._began_s))


async def set_within(event: asyncio.Event, timeout_s: float) -> None:
    """Return once the event is set, or that time is over."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


def jittered(period_s: float) -> float:
    """That time or somewhat less, so that many devices do not keep step."""
    return period_s * random.uniform(0.75, 1.0)  # noqa: S311 - spreads load, guards nothing
