"""Ways to break the rules of silence (L), and of which report counts and how (S1 to S7)."""

import math
from collections.abc import Iterable
from datetime import datetime

import pytest

from fleet.kube.objects import Deployment
from fleet.operator import standings
from fleet.operator.decoding import Report
from fleet.operator.liveness import Liveness, Verdict
from fleet.operator.standings import Standings
from fleet.operator.state import FleetState
from fleet.operator.status import Json
from fleet.operator.tally import STANDING_OF_PHASE, Failure, Standing, Tally
from fleet.operator.tests.sim import status as ticker
from fleet.operator.tests.sim.mutants.mutant import found_by
from fleet.wire import DeploymentName, DeviceId, Pair, Phase


def _limit(patch: pytest.MonkeyPatch, times: float) -> None:
    sound = Liveness.__init__

    def init(self: Liveness, limit_s: float) -> None:
        sound(self, limit_s * times)

    patch.setattr(Liveness, "__init__", init)


@found_by("L2", 1)
def impatient(patch: pytest.MonkeyPatch) -> None:
    """L1: half the time is enough to be silent."""
    _limit(patch, 0.5)


@found_by("S1", 328)
def patient(patch: pytest.MonkeyPatch) -> None:
    """L1: a device is silent only after ten times as long."""
    _limit(patch, 10)


@found_by("L2", 46)
def silent_unseen(patch: pytest.MonkeyPatch) -> None:
    """No beat was seen in time, so none was sent."""
    sound = Liveness._borders

    def borders(self: Liveness, now_s: float) -> tuple[float, float]:
        quiet_before_s, _ = sound(self, now_s)
        return quiet_before_s, quiet_before_s

    patch.setattr(Liveness, "_borders", borders)


@found_by("L2", 6)
def first_beat_proves_all(patch: pytest.MonkeyPatch) -> None:
    """The first beat after an outage of the broker makes all others silent who are yet to beat."""
    sound = Liveness.beat

    def beat(self: Liveness, device: DeviceId, at_s: float) -> bool:
        news = sound(self, device, at_s)
        self._accepting_since_s = -math.inf
        return news

    patch.setattr(Liveness, "beat", beat)


@found_by("L2", 0)
def own_clock(patch: pytest.MonkeyPatch) -> None:
    """L1: the process's own clock, a minute ahead, says how old a beat is."""
    sound = Liveness.opened

    def opened(self: Liveness, created_s: float, broker_now_s: float, now_s: float) -> None:
        sound(self, created_s, broker_now_s + 60, now_s)

    patch.setattr(Liveness, "opened", opened)


@found_by("L2", 20)
def unheard_is_silent(patch: pytest.MonkeyPatch) -> None:
    """L3: a device that has never beaten is silent at once."""
    sound = Liveness.advance

    def advance(self: Liveness, now_s: float) -> tuple[list[DeviceId], bool]:
        self._unheard_silent = True
        return sound(self, now_s)

    patch.setattr(Liveness, "advance", advance)


@found_by("L4", 361)
def replay_revives(patch: pytest.MonkeyPatch) -> None:
    """A beat that a replay tells once more is a new one."""
    sound = Liveness.beat

    def beat(self: Liveness, device: DeviceId, at_s: float) -> bool:
        self.forget(device)
        return sound(self, device, at_s)

    patch.setattr(Liveness, "beat", beat)


@found_by("L4", 752)
def reconnecting_revives(patch: pytest.MonkeyPatch) -> None:
    """Whoever has never beaten is silent no longer once the bucket is replayed."""
    sound = Liveness.opened

    def opened(self: Liveness, created_s: float, broker_now_s: float, now_s: float) -> None:
        sound(self, created_s, broker_now_s, now_s)
        self._unheard_silent = False

    patch.setattr(Liveness, "opened", opened)


@found_by("S1", 5)
def matched_is_no_sum(patch: pytest.MonkeyPatch) -> None:
    """Stale devices do not count as matched."""
    patch.setattr(Tally, "matched", property(lambda self: sum(self.counts.values()) - self.counts[Standing.STALE]))


@found_by("S1", 0)
def counts_twice(patch: pytest.MonkeyPatch) -> None:
    """A pair that moves between the counts stays in the old one."""
    sound = Standings.judge

    def judge(self: Standings, pair: Pair) -> bool:
        old = self._standings.get(pair)
        news = sound(self, pair)
        if old is not None and self._standings[pair] is not old:
            self.tallies[pair.deployment].counts[old] += 1
        return news

    patch.setattr(Standings, "judge", judge)


@found_by("S1", 10)
def silent_without_report(patch: pytest.MonkeyPatch) -> None:
    """S2: a silent device is stale, also if it never reported."""
    sound = Standings._judged

    def judged(self: Standings, name: DeploymentName, devices: Iterable[DeviceId]) -> list[Standing]:
        known = list(devices)
        verdicts = map(self._liveness.verdict, known)
        return [
            Standing.STALE if verdict is Verdict.SILENT else standing
            for verdict, standing in zip(verdicts, sound(self, name, known), strict=True)
        ]

    patch.setattr(Standings, "_judged", judged)


@found_by("S1", 35)
def failed_is_pending(patch: pytest.MonkeyPatch) -> None:
    """S3: a failed device may still succeed."""
    patch.setattr(standings, "STANDING_OF_PHASE", {**STANDING_OF_PHASE, Phase.FAILED: Standing.PENDING})


@found_by("S1", 672)
def old_reports_count(patch: pytest.MonkeyPatch) -> None:
    """S4: a report about an older generation, or another uid, counts."""
    sound = Standings._judged

    def judged(self: Standings, name: DeploymentName, devices: Iterable[DeviceId]) -> list[Standing]:
        known = list(devices)
        settled, reports = self._desired.settled.of(name), self._reports.of(name)
        return [
            STANDING_OF_PHASE[reports[d].phase]
            if standing is Standing.PENDING and d in reports and d in settled
            else standing
            for d, standing in zip(known, sound(self, name, known), strict=True)
        ]

    patch.setattr(Standings, "_judged", judged)


@found_by("S5", 15)
def last_told_wins(patch: pytest.MonkeyPatch) -> None:
    """An older report replaces a newer one."""
    sound = FleetState.report

    def report(self: FleetState, pair: Pair, told: Report | None, stored_at: datetime | None = None) -> None:
        if told is not None:
            self.reports.pop(pair, None)
        sound(self, pair, told, stored_at)

    patch.setattr(FleetState, "report", report)


@found_by("S5", 1)
def future_counts(patch: pytest.MonkeyPatch) -> None:
    """S6: a clock that runs ahead is believed."""
    sound = FleetState.report

    def report(self: FleetState, pair: Pair, told: Report | None, _stored_at: datetime | None = None) -> None:
        sound(self, pair, told)

    patch.setattr(FleetState, "report", report)


@found_by("S1", 373)
def oldest_failure(patch: pytest.MonkeyPatch) -> None:
    """S7: `lastError` is the oldest failure."""
    patch.setattr(Tally, "last_failure", property(lambda self: min(self.failures.values(), default=None)))


@found_by("S1", 37)
def failure_outlives(patch: pytest.MonkeyPatch) -> None:
    """S7: a failure is never taken back."""
    sound = Tally.set_failure

    def set_failure(self: Tally, device: DeviceId, failure: Failure | None) -> None:
        if failure is not None:
            sound(self, device, failure)

    patch.setattr(Tally, "set_failure", set_failure)


@found_by("S1", 457)
def least_device_of_ties(patch: pytest.MonkeyPatch) -> None:
    """S7: of equally new failures the least device is named."""

    def last(self: Tally) -> Failure | None:
        newest = max((failure.at for failure in self.failures.values()), default=None)
        return min((failure for failure in self.failures.values() if failure.at == newest), default=None)

    patch.setattr(Tally, "last_failure", property(last))


@found_by("S12", 45)
def error_is_not_cleared(patch: pytest.MonkeyPatch) -> None:
    """S7: a merge patch leaves an old `lastError` where it was."""

    def status_patch(deployment: Deployment, wanted: Json) -> Json:
        return {"metadata": {"resourceVersion": deployment.resource_version}, "status": wanted}

    patch.setattr(ticker, "status_patch", status_patch)
