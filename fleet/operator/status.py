"""A Deployment's status, decided from its tally (docs/contract.md has each rule by number). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.canonical import format_time
from fleet.kube.objects import Deployment
from fleet.operator.tally import Standing, Tally

Json = Mapping[str, object]
READY = "Ready"
SYNCED = "Synced"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why keys of a Deployment are not written or not deleted; it goes into the Synced condition as it is."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    type: str
    status: str
    reason: str
    message: str


def decide_status(deployment: Deployment, tally: Tally, now: datetime, trouble: Trouble | None = None) -> Json | None:
    """The status that `deployment` should have, or None if the informer's copy has it already, or nobody can know it.

    `now` stamps a condition whose status flips; it changes nothing else, so an unchanged world needs no patch.
    """
    if tally.counts[Standing.UNDECIDED]:
        return None
    aggregate: dict[str, object] = {
        "matched": tally.matched,
        "succeeded": tally.counts[Standing.SUCCEEDED],
        "pending": tally.counts[Standing.PENDING],
        "failed": tally.counts[Standing.FAILED],
        "stale": tally.counts[Standing.STALE],
    }
    failure = tally.last_failure
    if failure is not None:
        aggregate["lastError"] = {
            "device": failure.device,
            "message": failure.message,
            "at": format_time(failure.at),
        }
    status: dict[str, object] = {
        "observedGeneration": deployment.generation,
        "aggregate": aggregate,
        "conditions": _conditions(deployment, [_ready(tally), _synced(tally, trouble)], now),
    }
    return None if status == deployment.status else status


def status_patch(deployment: Deployment, status: Json) -> Json:
    """The merge patch that stores `status`, fenced by the version that it was decided against."""
    aggregate = status["aggregate"]
    if isinstance(aggregate, dict) and "lastError" not in aggregate:
        # A merge patch removes only what it names.
        status = {**status, "aggregate": {**aggregate, "lastError": None}}
    return {"metadata": {"resourceVersion": deployment.resource_version}, "status": status}


def _ready(tally: Tally) -> _Verdict:
    matched, failed, stale = tally.matched, tally.counts[Standing.FAILED], tally.counts[Standing.STALE]
    succeeded = tally.counts[Standing.SUCCEEDED]
    if matched == 0:
        return _Verdict(READY, "False", "NoDevices", "no device matches the selector")
    if failed:
        return _Verdict(READY, "False", "DevicesFailed", f"{failed} of {matched} devices failed")
    if tally.counts[Standing.PENDING]:
        return _Verdict(READY, "False", "Progressing", f"{succeeded} of {matched} devices run this deployment")
    if stale:
        return _Verdict(READY, "False", "DevicesStale", f"{stale} of {matched} devices are silent")
    return _Verdict(READY, "True", "AllSucceeded", f"all {matched} devices run this deployment")


def _synced(tally: Tally, trouble: Trouble | None) -> _Verdict:
    if trouble is not None:
        return _Verdict(SYNCED, "False", trouble.reason, trouble.message)
    if tally.unsettled:
        written = tally.matched - tally.unsettled
        return _Verdict(SYNCED, "False", "Writing", f"{written} of {tally.matched} keys hold this deployment")
    return _Verdict(SYNCED, "True", "AllWritten", f"all {tally.matched} keys hold this deployment")


def _conditions(deployment: Deployment, verdicts: list[_Verdict], now: datetime) -> list[Json]:
    """Ours, each in the place where it was, among the conditions of others, which stay as they are."""
    stored = deployment.status.get("conditions")
    conditions: list[Json] = [c for c in stored if isinstance(c, dict)] if isinstance(stored, list) else []
    for verdict in verdicts:
        index = next((i for i, c in enumerate(conditions) if c.get("type") == verdict.type), None)
        known = conditions[index] if index is not None else {}
        since = known.get("lastTransitionTime") if known.get("status") == verdict.status else None
        condition = {
            "type": verdict.type,
            "status": verdict.status,
            "reason": verdict.reason,
            "message": verdict.message,
            "observedGeneration": deployment.generation,
            "lastTransitionTime": since if isinstance(since, str) else f"{format_time(now)[:19]}Z",
        }
        if index is None:
            conditions.append(condition)
        else:
            conditions[index] = condition
    return conditions
