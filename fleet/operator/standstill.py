"""Notices that the process stood still: SIGSTOP, a suspended machine, a core that others had.

After that, what was decided before is decided on a world that may have moved on.
"""

import asyncio
import time
from collections.abc import Callable

LIMIT_S = 1.0
_PULSE_S = 0.1


def stood_still_s(elapsed_s: float, cpu_s: float) -> float:
    """For how long of `elapsed_s` the process did nothing; 0 if within the limit. Work of our own is no standstill."""
    idle_s = elapsed_s - _PULSE_S - cpu_s
    return idle_s if idle_s > LIMIT_S else 0.0


class Standstill:
    """Pulses while the event loop turns; a pulse that comes late by more than the limit is a standstill."""

    def __init__(self, noticed: Callable[[float], None]) -> None:
        # Counts standstills: a decision holds as long as this does not change.
        self.epoch = 0
        self._noticed = noticed
        self._pulse_s = time.monotonic()
        self._cpu_s = time.process_time()

    async def run(self) -> None:
        self._rest()
        while True:
            await asyncio.sleep(_PULSE_S)
            self.check()

    def check(self) -> None:
        """Look now. To be called right before a write as well: the write may be what runs first after a standstill."""
        still_s = stood_still_s(time.monotonic() - self._pulse_s, time.process_time() - self._cpu_s)
        self._rest()
        if still_s:
            self.epoch += 1
            self._noticed(still_s)

    def _rest(self) -> None:
        self._pulse_s, self._cpu_s = time.monotonic(), time.process_time()
