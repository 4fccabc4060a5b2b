"""Ways to break the rules of what a status says and when it is written (S8 to S12)."""

from collections.abc import Callable
from datetime import datetime

import msgspec
import pytest

from fleet.canonical import format_time
from fleet.kube.objects import Deployment
from fleet.operator import status
from fleet.operator.standings import Standings
from fleet.operator.status import Json, Trouble
from fleet.operator.tally import Standing, Tally
from fleet.operator.tests.sim import status as ticker
from fleet.operator.tests.sim.mutants.mutant import found_by
from fleet.wire import Pair


def _status(patch: pytest.MonkeyPatch, change: Callable[[Deployment, Json], Json]) -> None:
    sound = status.decide_status

    def decide_status(
        deployment: Deployment, tally: Tally, now: datetime, trouble: Trouble | None = None
    ) -> Json | None:
        bare = msgspec.structs.replace(deployment, status={**deployment.status, "observedGeneration": -1})
        made = sound(bare, tally, now, trouble)
        changed = None if made is None else change(deployment, made)
        return None if changed == deployment.status else changed

    patch.setattr(ticker, "decide_status", decide_status)


@found_by("S8", 1)
def first_generation_for_ever(patch: pytest.MonkeyPatch) -> None:
    """`observedGeneration` is the generation that was counted first."""

    def change(deployment: Deployment, made: Json) -> Json:
        first = deployment.status.get("observedGeneration", deployment.generation)
        return {**made, "observedGeneration": first}

    _status(patch, change)


@found_by("S8", 0)
def generation_falls(patch: pytest.MonkeyPatch) -> None:
    """`observedGeneration` falls when nothing matches."""

    def change(_deployment: Deployment, made: Json) -> Json:
        aggregate = made["aggregate"]
        assert isinstance(aggregate, dict)
        return made if aggregate["matched"] else {**made, "observedGeneration": 0}

    _status(patch, change)


@found_by("S9", 0)
def ready_with_nobody(patch: pytest.MonkeyPatch) -> None:
    """Where no device matches, all have succeeded."""
    sound = status._ready

    def ready(tally: Tally) -> status._Verdict:
        return sound(tally) if tally.matched else status._Verdict("Ready", "True", "AllSucceeded", "all 0 devices")

    patch.setattr(status, "_ready", ready)


@found_by("S9", 849)
def stale_before_pending(patch: pytest.MonkeyPatch) -> None:
    """`DevicesStale` goes before `Progressing`."""
    sound = status._ready

    def ready(tally: Tally) -> status._Verdict:
        verdict = sound(tally)
        if verdict.reason == "Progressing" and tally.counts[Standing.STALE]:
            return status._Verdict("Ready", "False", "DevicesStale", "silent")
        return verdict

    patch.setattr(status, "_ready", ready)


@found_by("S9", 43)
def never_settled(patch: pytest.MonkeyPatch) -> None:
    """S10: a key once written is still counted as unwritten after its device went."""
    sound = Standings.unlink

    def unlink(self: Standings, pair: Pair) -> None:
        before = self.tallies[pair.deployment].unsettled
        sound(self, pair)
        self.tallies[pair.deployment].unsettled = before

    patch.setattr(Standings, "unlink", unlink)


@found_by("S11", 0)
def time_of_every_patch(patch: pytest.MonkeyPatch) -> None:
    """`lastTransitionTime` is the time of the patch."""
    sound = status._conditions

    def conditions(deployment: Deployment, verdicts: list[status._Verdict], now: datetime) -> list[Json]:
        at = f"{format_time(now)[:19]}Z"
        return [{**condition, "lastTransitionTime": at} for condition in sound(deployment, verdicts, now)]

    patch.setattr(status, "_conditions", conditions)


@found_by("S12", 0)
def patches_at_every_tick(patch: pytest.MonkeyPatch) -> None:
    """A status is patched whether or not it differs."""
    sound = status.decide_status

    def decide_status(
        deployment: Deployment, tally: Tally, now: datetime, trouble: Trouble | None = None
    ) -> Json | None:
        return sound(deployment, tally, now, trouble) or deployment.status

    patch.setattr(ticker, "decide_status", decide_status)


@found_by("S12", 0)
def unfenced_patch(patch: pytest.MonkeyPatch) -> None:
    """A status is patched over whatever version is there."""
    sound = status.status_patch
    patch.setattr(ticker, "status_patch", lambda deployment, made: {"status": sound(deployment, made)["status"]})
