"""What scripted devices do with a desired state: act as the policy says, report it, and forget it when it is gone.

Knows nothing of connections: whoever hears something calls `take` or `drop`.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import UTC, datetime, timedelta

from nats.js.client import JetStreamContext

from fleet.errors import WireError
from fleet.wire import DesiredState, DeviceId, DeviceState, Owner, Pair, Phase, decode_desired_state
from harness.devices.writing import StateWriter
from harness.errors import ServiceError
from harness.history import Recorder

REFUSED = "desired state refused"

Policy = Callable[[Pair, DesiredState], tuple[Phase, str | None]]


class Closed(ServiceError):  # noqa: N818 - names a state
    """The devices were ended: there is nothing to write to any more."""


def always_running(_: Pair, __: DesiredState) -> tuple[Phase, str | None]:
    return Phase.RUNNING, None


class ActingDevices:
    """Their memory: `desired` is what they act on, `reported` what the broker acknowledged of it."""

    def __init__(self, devices: Sequence[DeviceId], js: JetStreamContext, recorder: Recorder) -> None:
        self.ids = tuple(devices)
        self.policy: Policy = always_running
        self.desired: dict[Pair, DesiredState] = {}
        self.reported: dict[Pair, DeviceState] = {}
        # By how many seconds a device's clock is off, asked at each report; those that are not in it are right.
        self.clocks_off_s: dict[DeviceId, Callable[[], float]] = {}
        # What is stored for these cannot be understood: they keep to what they had before.
        self._refused: set[Pair] = set()
        # They hear nothing and say nothing.
        self._mute: set[DeviceId] = set()
        self._mine = frozenset(devices)
        self._states = StateWriter(js, recorder, self._may_write)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._closing = False

    async def report(
        self,
        pair: Pair,
        phase: Phase,
        error: str | None = None,
        *,
        owner: Owner | None = None,
        at: datetime | None = None,
    ) -> None:
        """Report a phase, as an agent that acted on `owner` (what is desired now, if not given). Not if it is mute.

        `at` is the event's time: now, and after all before it, if not given. An older one is told and not remembered.
        """
        async with self._states.turn(pair):
            if owner is None:
                desired = self.desired.get(pair)
                if desired is None:
                    return
                owner = desired.owner
            state = DeviceState(
                phase=phase,
                last_event_at=self._event_time(pair) if at is None else at,
                owner=owner,
                container_ids={},
                last_error=error,
            )
            known = self.reported.get(pair)
            stored = await self._states.put(pair, state.encode())
            if stored and (known is None or state.last_event_at >= known.last_event_at):
                self.reported[pair] = state

    async def report_again(self, device: DeviceId) -> None:
        """Write what this device has reported once more, as it was."""
        for pair in [pair for pair in self.reported if pair.device == device]:
            async with self._states.turn(pair):
                state = self.reported.get(pair)
                if state is not None:
                    await self._states.put(pair, state.encode())

    def take(self, pair: Pair, value: bytes) -> None:
        """Act on a desired state of one of our devices, unless it is the one we acted on already."""
        if pair.device not in self._mine or pair.device in self._mute:
            return
        try:
            desired = decode_desired_state(value)
        except WireError as e:
            self._refuse(pair, str(e))
            return
        if self.desired.get(pair) == desired and pair not in self._refused:
            return
        self._refused.discard(pair)
        self.desired[pair] = desired
        phase, error = self.policy(pair, desired)
        self._spawn(self.report(pair, phase, error, owner=desired.owner))

    def drop(self, pair: Pair) -> None:
        """Forget what is desired no more, and the report of it."""
        if pair.device in self._mute:
            return
        self._refused.discard(pair)
        if self.desired.pop(pair, None) is not None or pair in self.reported:
            self._spawn(self._forget_report(pair))

    def _refuse(self, pair: Pair, reason: str) -> None:
        """Keep the last good one, and say so: as it was reported, with the reason. Without one there is no report."""
        last = self.reported.get(pair)
        if last is None:
            return
        self._refused.add(pair)
        self._spawn(self.report(pair, last.phase, f"{REFUSED}: {reason}", owner=last.owner))

    def _forget_unfinished(self, devices: Collection[DeviceId]) -> None:
        """What was not reported before the power went is done again when it is back."""
        for pair, desired in list(self.desired.items()):
            reported = self.reported.get(pair)
            if pair.device in devices and (reported is None or reported.owner != desired.owner):
                del self.desired[pair]

    def _wipe(self, devices: Collection[DeviceId]) -> None:
        for pair in [pair for pair in self.desired.keys() | self.reported.keys() if pair.device in devices]:
            self.desired.pop(pair, None)
            self.reported.pop(pair, None)
            self._refused.discard(pair)

    async def _forget_report(self, pair: Pair) -> None:
        async with self._states.turn(pair):
            if pair in self.reported and await self._states.delete(pair):
                self.reported.pop(pair, None)

    def _event_time(self, pair: Pair) -> datetime:
        """Now by its own clock, and after whatever was reported before."""
        off_s = self.clocks_off_s.get(pair.device)
        now = datetime.now(UTC) + timedelta(seconds=0.0 if off_s is None else off_s())
        last = self.reported.get(pair)
        return now if last is None else max(now, last.last_event_at + timedelta(milliseconds=1))

    def _may_write(self, pair: Pair) -> bool:
        if self._closing:
            raise Closed(f"{pair.device} has nothing to write to: the scripted devices are closed")
        return pair.device not in self._mute

    def _spawn(self, work: Coroutine[None, None, None], name: str = "scripted devices") -> None:
        if self._closing:
            work.close()
            return
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        # The client may swallow the cancellation; then the next attempt finds that all is over, as it should.
        if failure is not None and not isinstance(failure, Closed):
            self._failure = self._failure or failure
