"""All simulated devices of one process: who is due when, and what goes over the wire then.

    (re)connected, asked, in trouble -> joins (so many a second) -> subscribe, beat, facts, own reports, desired state
    each 20 ms: beats, reads and state changes that are due, spread evenly -> one short task each

A device whose request failed joins again after a pause: that reads whatever it may have missed, and writes what is due.
"""

import asyncio
import contextlib
import random
import resource
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator

from nats.aio.msg import Msg

from fleet.errors import PeerError, PeerRefused
from fleet.wire import Bucket, DeploymentName
from harness.devices.hearing import republish_window_s
from harness.devices.simulator.conduct import Conduct
from harness.devices.simulator.device import Device, Slot
from harness.devices.simulator.figures import Figures, Progress, Summary, Times
from harness.devices.simulator.keys import bucket_is_there
from harness.devices.simulator.line import Line
from harness.devices.simulator.pace import Pace
from harness.devices.simulator.plan import Plan
from harness.errors import ServiceError
from harness.wait import end_tasks, ticks

READ_EVERY_S = 60.0
_TICK_S = 0.02
_PROGRESS_EVERY_S = 1.0
_FIRST_CONNECT_WITHIN_S = 5.0
_LOOK_FOR_BUCKETS_EVERY_S = 1.0
_AGAIN_AFTER_S = (1.0, 3.0)
_CONNECTS_PER_S = 50.0
_AT_ONCE_MAX = 256
_FINISH_WITHIN_S = 5.0
_WINDOW_S_MAX = 86_400.0


class SimulatedFleet:
    """`run` is all of its life. `figures` may be read at any time."""

    def __init__(self, plan: Plan, say: Callable[[Progress], None]) -> None:
        self.figures = Figures()
        self._plan = plan
        self._say = say
        self._conduct = Conduct(plan, self.figures, self._begin, self._queue)
        self._random = random.Random(plan.devices)  # noqa: S311 - spreads load, keeps no secret
        self._lines: list[Line] = []
        self._devices: list[Device] = []
        self._joins: deque[Device] = deque()
        self._joining = 0
        self._joined_ever: set[int] = set()
        self._buckets_there = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None
        self._ending = False
        on_line = [self._add_line() for _ in range(plan.lines)]
        for number in range(plan.first, plan.first + plan.devices):
            place = number % plan.lines
            device = Device(number, plan.name(number), self._lines[place])
            self._devices.append(device)
            on_line[place].append(device)
        # They share a group or a connection with their neighbours, and are not to beat one after the other for it.
        self._random.shuffle(self._devices)

    async def run(self, stop: asyncio.Event) -> Summary:
        """Until `stop` is set, or for as long as planned. On return every task and connection is gone.

        Raises ServiceError if no broker answers at first; later it is waited for, for ever.
        """
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        failure = self._failure = asyncio.get_running_loop().create_future()
        runs = [
            asyncio.create_task(line.run(after_s), name="simulator's connection")
            for line, after_s in zip(self._lines, self._connect_times_s(), strict=True)
        ]
        try:
            await self._first_connect()
            loops = [self._look_for_buckets(), self._drive(), self._tell(began_s)]
            runs += [asyncio.create_task(loop, name="simulator's loop") for loop in loops]
            for task in runs:
                task.add_done_callback(self._ended)
            stopped = asyncio.create_task(stop.wait())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._plan.seconds):
                    await asyncio.wait({stopped, failure}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if failure.done():
                failure.result()
            return await self._finish(runs[len(self._lines) :], began_s, began_cpu_s)
        finally:
            self._ending = True
            failure.cancel()
            await end_tasks([*self._tasks, *runs])

    async def _first_connect(self) -> None:
        first = self._lines[0]
        try:
            async with asyncio.timeout(_FIRST_CONNECT_WITHIN_S):
                async for _ in ticks(_TICK_S):
                    if first.up:
                        return
        except TimeoutError as e:
            raise ServiceError(f"no broker answers at {self._plan.where}: {first.trouble or 'silence'}") from e

    async def _finish(self, loops: list[asyncio.Task[None]], began_s: float, began_cpu_s: float) -> Summary:
        """Begin nothing new, and wait for what is on its way."""
        self._ending = True
        seconds = time.monotonic() - began_s
        await end_tasks(loops)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_FINISH_WITHIN_S)
        return Summary(
            where=self._plan.where,
            devices=len(self._devices),
            lines=len(self._lines),
            joined_ever=len(self._joined_ever),
            unsettled=sum(not device.is_settled for device in self._devices),
            seconds=seconds,
            cpu_s=time.process_time() - began_cpu_s,
            rss_max_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            figures=self.figures,
        )

    # -- connections

    def _add_line(self) -> list[Device]:
        """The list of its devices, to be filled."""
        devices: list[Device] = []
        line = Line(
            self._plan.url,
            came=lambda: self._came(devices),
            went=lambda: self._went(devices),
            recalled=lambda message: self._recalled(devices, message),
        )
        self._lines.append(line)
        return devices

    def _came(self, devices: list[Device]) -> None:
        for device in devices:
            self._queue(device)

    def _went(self, devices: list[Device]) -> None:
        if self._ending:
            return
        self.figures.connections_lost += any(device.joined for device in devices)
        for device in devices:
            device.joined = False

    def _connect_times_s(self) -> list[float]:
        """The first at once: whether there is a broker is soon known."""
        return [number / _CONNECTS_PER_S for number in range(len(self._lines))]

    async def _look_for_buckets(self) -> None:
        """Agents make no bucket: they wait for the operator's. Once they were there, their loss shows by itself."""
        async for _ in ticks(_LOOK_FOR_BUCKETS_EVERY_S):
            line = next((line for line in self._lines if line.up), None)
            if line is not None and all([await bucket_is_there(line, bucket) for bucket in Bucket]):
                self.figures.trouble = None
                self._buckets_there.set()
                return
            self.figures.trouble = "waiting for the operator's buckets"

    # -- who is due

    async def _drive(self) -> None:
        await self._buckets_there.wait()
        plan, now_s = self._plan, time.monotonic()
        count = len(self._devices)
        beats, reads = Pace(count / plan.beat_every_s, now_s), Pace(count / READ_EVERY_S, now_s)
        joins, changes = Pace(plan.starts_per_s, now_s), Pace(plan.state_changes_per_s, now_s)
        beaters, readers, changers = self._in_turn(), self._in_turn(), self._slots_in_turn()
        async for _ in ticks(_TICK_S):
            now_s = time.monotonic()
            for _ in range(joins.due(now_s)):
                self._begin_join()
            for _ in range(beats.due(now_s)):
                device = next(beaters)
                if device.joined and not device.beating:
                    self._begin(device, self._conduct.beat(device))
            for _ in range(reads.due(now_s)):
                device = next(readers)
                if device.joined and not device.reading:
                    self._begin(device, self._conduct.read_desired(device))
            self._change(changes.due(now_s), changers)

    def _in_turn(self) -> Iterator[Device]:
        while True:
            yield from self._devices

    def _slots_in_turn(self) -> Iterator[tuple[Device, DeploymentName, Slot] | None]:
        """Each deployment that runs anywhere, in an order that differs each time; None while there is none."""
        while True:
            held = [(d, name, slot) for d in self._devices for name, slot in d.slots.items() if slot.wanted is not None]
            if not held:
                yield None
            self._random.shuffle(held)
            yield from held

    def _change(self, count: int, turns: Iterator[tuple[Device, DeploymentName, Slot] | None]) -> None:
        # Whoever was told nothing has nothing that changes, and looking for it would cost more than all the rest.
        for _ in range(count if self.figures.taken else 0):
            turn = next(turns)
            if turn is None:
                return
            device, deployment, slot = turn
            if slot.wanted is None or slot.refused or slot.due or slot.writing or not device.joined:
                self.figures.changes_skipped += 1
                continue
            slot.change(failed=self._random.random() * 100 < self._plan.failed_percent)
            self._conduct.report(device, deployment, slot)

    def _queue(self, device: Device) -> None:
        if not device.queued and not self._ending:
            device.queued = True
            self._joins.append(device)

    def _begin_join(self) -> None:
        if not self._joins or self._joining >= _AT_ONCE_MAX:
            return
        device = self._joins.popleft()
        if device.joining:
            self._joins.append(device)
            return
        device.queued = False
        # If its connection is away, it comes back here with that.
        if device.line.up:
            device.joining = True
            self._joining += 1
            self._begin(device, self._join(device))

    async def _join(self, device: Device) -> None:
        try:
            await self._conduct.introduce(device)
            self._joined_ever.add(device.number)
        finally:
            device.joining = False
            self._joining -= 1

    def _begin(self, device: Device, work: Coroutine[None, None, None]) -> bool:
        """Whether it was begun: near the end nothing is."""
        if self._ending:
            work.close()
            return False
        task = asyncio.create_task(self._guarded(device, work), name="simulated device")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return True

    async def _guarded(self, device: Device, work: Coroutine[None, None, None]) -> None:
        """What does not succeed is counted, and made up for by joining again."""
        try:
            await work
        except PeerError as e:
            if isinstance(e, PeerRefused):
                self.figures.refused += 1
            else:
                self.figures.away += 1
            self.figures.trouble = str(e)
            device.joined = False
            asyncio.get_running_loop().call_later(self._random.uniform(*_AGAIN_AFTER_S), self._queue, device)

    def _recalled(self, devices: list[Device], message: Msg) -> None:
        """The operator lost what was said: each device says it again, at a random time within the window."""
        window_s = republish_window_s(message, _WINDOW_S_MAX)
        if window_s is None or self._ending:
            return
        self.figures.recalls += 1
        for device in devices:
            if not device.recalled:
                device.recalled = True
                asyncio.get_running_loop().call_later(self._random.uniform(0.0, window_s), self._say_again, device)

    def _say_again(self, device: Device) -> None:
        device.recalled, device.say_again = False, True
        self._queue(device)

    # -- the process

    async def _tell(self, began_s: float) -> None:
        """A line each second."""
        last_s, beats, reports = began_s, 0, 0
        async for _ in ticks(_PROGRESS_EVERY_S):
            now_s, f = time.monotonic(), self.figures
            took_s = max(now_s - last_s, 1e-3)
            joined = sum(device.joined for device in self._devices)
            trouble = next((line.trouble for line in self._lines if line.trouble), f.trouble)
            self._say(
                Progress(
                    at_s=now_s - began_s,
                    lines_up=sum(line.up for line in self._lines),
                    lines=len(self._lines),
                    joined=joined,
                    devices=len(self._devices),
                    running=sum(len(device.slots) for device in self._devices),
                    beats_per_s=(f.beats - beats) / took_s,
                    reports_per_s=(f.reports - reports) / took_s,
                    errors=f.errors,
                    lag_s=max(f.acks_lately.most_s, *(line.waits_s for line in self._lines), 0.0),
                    # What is over is told by the summary.
                    trouble=trouble if joined < len(self._devices) else None,
                )
            )
            last_s, beats, reports, f.acks_lately = now_s, f.beats, f.reports, Times()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)
