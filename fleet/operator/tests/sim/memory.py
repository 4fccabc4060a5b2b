"""What one process was told, kept once more and as simply as can be, to compare with what the core made of it."""

from datetime import datetime

from fleet.operator.decoding import Report
from fleet.operator.liveness import Verdict
from fleet.operator.state import FleetState
from fleet.operator.tests.sim.story import RuleError
from fleet.wire import DeviceId, Pair


class Memory:
    """Reports by their effective time, and whose silence can be known. Each check raises RuleError."""

    def __init__(self, stale_after_s: float) -> None:
        self.reports: dict[Pair, tuple[datetime, Report]] = {}
        self.connected_at_s: float | None = None
        self._stale_after_s = stale_after_s
        self._beats: dict[DeviceId, float] = {}
        self._newest_s = 0.0
        # The first beat after the last pause that this process lived to see.
        self._after_pause_s = 0.0
        self._was_connected = False
        self._silent: set[DeviceId] = set()
        # Devices that the core took for silent and that have not beaten since.
        self._taken: set[DeviceId] = set()
        self._created_s = 0.0
        # Whoever has never beaten can be known to be silent, for as long as the bucket is the same.
        self._unheard_silent = False

    def opened(self, created_s: float) -> None:
        """The bucket of heartbeats is about to be replayed; another one was created at another time."""
        if created_s != self._created_s:
            self._unheard_silent = False
            self._taken &= self._beats.keys()
        self._created_s = created_s

    def told(self, pair: Pair, report: Report, stored_at: datetime) -> None:
        at = min(report.last_event_at, stored_at)
        if pair not in self.reports or self.reports[pair][0] <= at:
            self.reports[pair] = at, report

    def compare(self, pair: Pair, state: FleetState) -> None:
        at, report = self.reports[pair]
        known = state.reports[pair]
        if (known.last_event_at, known.phase, known.uid, known.generation) != (
            at,
            report.phase,
            report.uid,
            report.generation,
        ):
            raise RuleError(f"S5: {pair} is taken to be {known}, it is {report} of {at}")

    def beat(self, device: DeviceId, at_s: float) -> None:
        if self._was_connected and at_s - self._newest_s > self._stale_after_s / 2:
            self._after_pause_s = at_s
        self._newest_s = max(self._newest_s, at_s)
        if self._beats.get(device) != at_s:
            self._beats[device] = at_s
            self._silent.discard(device)
            self._taken.discard(device)

    def forget_beat(self, device: DeviceId) -> None:
        self._beats.pop(device, None)
        self._silent.discard(device)
        self._taken.discard(device)

    def judge_silence(self, state: FleetState, now_s: float) -> None:
        """A device may be taken for silent only once somebody could know; and then it is until it beats again."""
        limit_s = self._stale_after_s
        self._was_connected |= self.connected_at_s is not None
        unbroken = self.connected_at_s is not None and now_s - self.connected_at_s > limit_s
        heard_s = self._newest_s if self._newest_s - self._after_pause_s > limit_s else 0.0
        known_s = max(self._newest_s, now_s) if unbroken else heard_s
        self._unheard_silent |= known_s - self._created_s > limit_s
        self._silent.update(device for device, beat_s in self._beats.items() if known_s - beat_s > limit_s)
        for device in sorted(state.devices.keys() | self._beats.keys()):
            can_know = device in self._silent if device in self._beats else self._unheard_silent
            silent = state.liveness.verdict(device) is Verdict.SILENT
            if silent and not can_know:
                raise RuleError(f"L2: {device} is taken for silent, and nobody can know")
            if device in self._taken and not silent:
                raise RuleError(f"L4: {device} was taken for silent, has not beaten since, and no longer is")
            if silent:
                self._taken.add(device)
