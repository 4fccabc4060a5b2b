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
        self.created_s = 0.0
        self._stale_after_s = stale_after_s
        self._beats: dict[DeviceId, float] = {}
        self._newest_s = 0.0
        self._silent: set[DeviceId] = set()

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
        self._newest_s = max(self._newest_s, at_s)
        if self._beats.get(device) != at_s:
            self._beats[device] = at_s
            self._silent.discard(device)

    def forget_beat(self, device: DeviceId) -> None:
        self._beats.pop(device, None)

    def judge_silence(self, state: FleetState, now_s: float) -> None:
        """A device may be taken for silent only once somebody could know; and then it must be."""
        limit_s = self._stale_after_s
        unbroken = self.connected_at_s is not None and now_s - self.connected_at_s > limit_s
        for device in state.devices:
            beat_s = self._beats.get(device, self.created_s)
            if self._newest_s - beat_s > limit_s or (unbroken and now_s - beat_s > limit_s):
                self._silent.add(device)
            if state.liveness.verdict(device) is Verdict.SILENT and device not in self._silent:
                raise RuleError(f"L2: {device} is taken for silent, and nobody can know")
