"""What to write, decided from the state alone.

Rules (docs/contract.md has them at length):
- A key whose score and owner are already right is left alone; a change of generation alone is no change.
- A key of a higher generation than ours is left alone, wanted or not: our view is the older one.
- A key is deleted only if something that this process saw justifies it: its Deployment is here and no longer selects
  the device, or its Deployment or Device was seen alive and then seen deleted. Anything else that nobody wants is an
  orphan: counted, left alone.
- Every write names the revision that it replaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.canonical import format_time
from fleet.kube.objects import Deployment
from fleet.operator.state import Cell, FleetState, Standing, Tally
from fleet.wire import DesiredState, Owner, Pair

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Put:
    pair: Pair
    value: bytes
    expected: int


@dataclass(frozen=True, slots=True)
class Delete:
    pair: Pair
    expected: int


def decide_pair(state: FleetState, pair: Pair) -> Put | Delete | None:
    """The write that brings one key of desired-state to what it should be, if it needs one."""
    cell = state.desired.get(pair)
    deployment = state.deployments.get(pair.deployment)
    if deployment is not None and state.is_matched(pair):
        if state.is_settled(pair):
            return None
        wanted = DesiredState(Owner(deployment.uid, deployment.generation), deployment.score)
        return Put(pair, wanted.encode(), cell.revision if cell is not None else 0)
    if cell is None or cell.deleted or not _may_delete(state, pair, cell, deployment):
        return None
    return Delete(pair, cell.revision)


def is_orphan(state: FleetState, pair: Pair) -> bool:
    """Whether a stored key is one that nobody wants and that nothing we saw allows to delete."""
    cell = state.desired.get(pair)
    if cell is None or cell.deleted or state.is_matched(pair):
        return False
    return not _may_delete(state, pair, cell, state.deployments.get(pair.deployment))


def _may_delete(state: FleetState, pair: Pair, cell: Cell, deployment: Deployment | None) -> bool:
    if pair.device in state.departed_devices:
        return True
    if deployment is not None and pair.device in state.devices:
        return not _is_newer(cell, deployment)
    return cell.value is not None and cell.value.owner.uid in state.departed_uids


def _is_newer(cell: Cell, deployment: Deployment) -> bool:
    owner = cell.value.owner if cell.value is not None else None
    return owner is not None and owner.uid == deployment.uid and owner.generation > deployment.generation


def decide_status(deployment: Deployment, tally: Tally, now: datetime) -> Json | None:
    """The status that `deployment` should have, or None if the informer's copy has it already.

    `now` stamps a condition whose status flips; it changes nothing else, so an unchanged world needs no patch.
    """
    aggregate: dict[str, object] = {
        "matched": tally.matched,
        "succeeded": tally.counts[Standing.SUCCEEDED],
        "pending": tally.counts[Standing.PENDING],
        "failed": tally.counts[Standing.FAILED],
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
        "conditions": [_ready(deployment, tally, now)],
    }
    return None if status == deployment.status else status


def status_patch(deployment: Deployment, status: Json) -> Json:
    """The merge patch that stores `status`, fenced by the version that it was decided against."""
    aggregate = status["aggregate"]
    if isinstance(aggregate, dict) and "lastError" not in aggregate:
        # A merge patch removes only what it names.
        status = {**status, "aggregate": {**aggregate, "lastError": None}}
    return {"metadata": {"resourceVersion": deployment.resource_version}, "status": status}


def _ready(deployment: Deployment, tally: Tally, now: datetime) -> Json:
    matched, failed = tally.matched, tally.counts[Standing.FAILED]
    succeeded = tally.counts[Standing.SUCCEEDED]
    if matched == 0:
        ready, reason, message = "False", "NoDevices", "no device matches the selector"
    elif failed:
        ready, reason, message = "False", "DevicesFailed", f"{failed} of {matched} devices failed"
    elif succeeded < matched:
        ready, reason, message = "False", "Progressing", f"{succeeded} of {matched} devices run this deployment"
    else:
        ready, reason, message = "True", "AllSucceeded", f"all {matched} devices run this deployment"
    return {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "message": message,
        "observedGeneration": deployment.generation,
        "lastTransitionTime": _transition(deployment, ready) or format_time(now.replace(microsecond=0))[:19] + "Z",
    }


def _transition(deployment: Deployment, ready: str) -> str | None:
    """When the stored Ready condition took the status that it still has."""
    conditions = deployment.status.get("conditions")
    for condition in conditions if isinstance(conditions, list) else []:
        if isinstance(condition, dict) and condition.get("type") == "Ready" and condition.get("status") == ready:
            since = condition.get("lastTransitionTime")
            return since if isinstance(since, str) else None
    return None
