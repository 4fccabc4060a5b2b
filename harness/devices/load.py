"""A steady stream of device-state writes: devices that keep reporting while the operator is being hurt."""

import asyncio
import itertools
from datetime import datetime, timedelta
from typing import Literal, Self

from fleet.wire import Pair, Phase
from harness.devices.scripted import ScriptedDevices
from harness.errors import ServiceError, WaitTimeout
from harness.wait import end_tasks, ticks

Order = Literal["in order", "disordered", "same times"]
"""Of event times. Disordered: each second report of a pair is of an event older than one told before. Same times: all
of a pair are of one instant, as a clock that stands makes them; what was stored last is true."""

_BATCH_EVERY_S = 0.02
# What is further behind, because the broker or this machine did not keep up, is not made up for.
_BEHIND_S_MAX = 1.0
# By so many milliseconds, in turn, is an event that is told late older than the newest one of its pair.
_LATE_BY_MS = (1, 60_000, 250, 3_000)
_FAILED_PERCENT = 2
_STOP_WITHIN_S = 30.0


class WriteLoad:
    """Re-reports the pairs of `devices` in turn, `rate_per_s` in all. Ends with `stop`, which settles every pair.

    Of each hundred reports of pairs that run `failed_percent` say Failed; the next one of that pair says Running again.
    """

    def __init__(
        self,
        devices: ScriptedDevices,
        rate_per_s: float,
        *,
        failed_percent: int = _FAILED_PERCENT,
        order: Order = "in order",
    ) -> None:
        self._devices = devices
        self._order = order
        self._rate_per_s = rate_per_s
        self._failed_percent = failed_percent
        self._task: asyncio.Task[None] | None = None
        self._ending = False
        self._failed: set[Pair] = set()

    def start(self) -> Self:
        self._task = asyncio.create_task(self._run(), name="write load")
        return self

    async def stop(self) -> None:
        """End the load; afterwards each pair that it left Failed reports Running once more.

        Raises:
            WaitTimeout: the broker acknowledged nothing for so long that it was given up. Nothing is in flight then.
        """
        task, self._task = self._task, None
        if task is None:
            return
        # What is on its way is waited for: an outcome that nobody can tell is a poor one.
        self._ending = True
        try:
            async with asyncio.timeout(_STOP_WITHIN_S):
                await task
                async with asyncio.TaskGroup() as group:
                    for pair in sorted(self._failed):
                        group.create_task(self._settle(pair))
        except TimeoutError as e:
            raise WaitTimeout(f"the write load did not end within {_STOP_WITHIN_S:g} s: no acknowledgement") from e

    async def close(self) -> None:
        """End the load at once: for a run that is given up. Idempotent, and nothing to do after `stop`."""
        task, self._task = self._task, None
        if task is not None:
            # Its own failure would have been told by `stop`; here the run has failed already.
            await end_tasks([task])

    async def tell_late(self) -> None:
        """Each pair tells of one more failure: of before its newest event, which changes nothing, or of its instant.

        At the same instant the failure is what is true from then on: it was stored last.
        """
        async with asyncio.TaskGroup() as group:
            for number, pair in enumerate(sorted(self._devices.desired)):
                group.create_task(self._late(pair, number))

    async def _settle(self, pair: Pair) -> None:
        state = self._devices.reported.get(pair)
        if state is not None and state.phase is Phase.FAILED:
            await self._devices.report(pair, Phase.RUNNING, at=self._time_of_all(pair))

    async def _run(self) -> None:
        pairs = sorted(self._devices.desired)
        if not pairs:
            raise ServiceError("no device has anything to report yet: start the load after the devices are ready")
        loop = asyncio.get_running_loop()
        started = loop.time()
        turn = itertools.cycle(pairs)
        under_way_max = max(1, int(self._rate_per_s * _BEHIND_S_MAX))
        under_way: set[asyncio.Task[None]] = set()
        numbers = itertools.count()
        due = 0
        async with asyncio.TaskGroup() as group:
            async for _ in ticks(_BATCH_EVERY_S):
                if self._ending:
                    break
                before, due = due, int((loop.time() - started) * self._rate_per_s)
                for number in itertools.islice(numbers, min(due - before, under_way_max - len(under_way))):
                    late = self._order == "disordered" and number // len(pairs) % 2 == 1
                    pair = next(turn)
                    task = group.create_task(self._late(pair, number) if late else self._report(pair, number))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)

    async def _report(self, pair: Pair, number: int) -> None:
        last = self._devices.reported.get(pair)
        runs = last is None or last.phase is not Phase.FAILED
        if runs and number % 100 < self._failed_percent:
            self._failed.add(pair)
            await self._devices.report(pair, Phase.FAILED, "scripted failure", at=self._time_of_all(pair))
        else:
            await self._devices.report(pair, Phase.RUNNING, at=self._time_of_all(pair))

    async def _late(self, pair: Pair, number: int) -> None:
        last = self._devices.reported.get(pair)
        if last is None:
            return
        by_ms = 0 if self._order == "same times" else _LATE_BY_MS[number % len(_LATE_BY_MS)]
        at = last.last_event_at - timedelta(milliseconds=by_ms)
        await self._devices.report(pair, Phase.FAILED, "told late", at=at)

    def _time_of_all(self, pair: Pair) -> datetime | None:
        last = self._devices.reported.get(pair)
        return last.last_event_at if self._order == "same times" and last is not None else None
