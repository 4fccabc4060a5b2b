"""What to write to desired-state, decided from the state alone.

Rules (docs/contract.md has them at length, by number):
- A key that holds this very Deployment's score is left alone; a change of generation alone is no change.
- A key that nobody wants is deleted: at once if an object that is being deleted, or a blocked device, says so;
  else by the sweep, which the brake guards. What we cannot read, or are about to register, is never swept.
- Every write names the revision that it replaces. One that would take something away, or that goes over what somebody
  with another view has written, is decided a second time on objects that were read after that revision was seen.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from fleet.kube.objects import Deployment, Device
from fleet.operator.desired_keys import Cell
from fleet.operator.matching import eligible, selects
from fleet.operator.state import FleetState
from fleet.wire import DeploymentName, DeviceId, Pair


@dataclass(frozen=True, slots=True)
class Put:
    """Store `value`. `check_afresh` if it may only be written once fresh objects have confirmed it."""

    pair: Pair
    value: bytes
    expected: int
    check_afresh: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """Store a delete marker. Always to be confirmed by fresh objects."""

    pair: Pair
    expected: int


@dataclass(frozen=True, slots=True)
class Fresh:
    """Objects as the API server had them after a decision; what is in neither mapping nor set is not there."""

    deployments: Mapping[DeploymentName, Deployment]
    devices: Mapping[DeviceId, Device]
    unreadable: AbstractSet[str] = frozenset()


def decide_pair(state: FleetState, pair: Pair) -> Put | Delete | None:
    """The write that brings one key of desired-state to what it should be; the sweep's own are left to it."""
    cell = state.desired.cells.get(pair)
    deployment = state.deployments.get(pair.deployment)
    if deployment is not None and pair in state.standings:
        if state.desired.is_settled(pair):
            return None
        return _put(deployment, pair, cell, vanished=pair in state.desired.vanished)
    if pair in state.unwanted.pairs and is_told(state, pair):
        return _delete(pair, cell)
    return None


def decide_swept(state: FleetState, pair: Pair) -> Delete | None:
    """The delete of a pair that the sweep has released, if nobody wants it still."""
    if pair not in state.unwanted.pairs or not (is_told(state, pair) or is_orphan(state, pair)):
        return None
    return _delete(pair, state.desired.cells.get(pair))


def confirm(state: FleetState, decision: Put | Delete, fresh: Fresh) -> Put | Delete | None:
    """Decide again on fresh objects: the same write, or another value for it, or None if they speak against it."""
    pair = decision.pair
    cell = state.desired.cells.get(pair)
    if (cell.revision if cell is not None else 0) != decision.expected:
        # Somebody has written meanwhile.
        return None
    if pair.deployment in fresh.unreadable or pair.device in fresh.unreadable:
        return None
    deployment, device = fresh.deployments.get(pair.deployment), fresh.devices.get(pair.device)
    wanted = deployment is not None and device is not None and selects(deployment, device)
    if isinstance(decision, Delete):
        return None if wanted else decision
    if deployment is None or not wanted:
        return None
    if cell is not None and _holds(cell, deployment):
        return None
    return Put(pair, deployment.wanted, decision.expected, check_afresh=True)


def is_told(state: FleetState, pair: Pair) -> bool:
    """Whether an object says that the pair is to go: it is being deleted, or its device is blocked."""
    deployment, device = state.deployments.get(pair.deployment), state.devices.get(pair.device)
    if device is not None and not eligible(device):
        return True
    return deployment is not None and deployment.deleting


def is_orphan(state: FleetState, pair: Pair) -> bool:
    """Whether an unwanted pair is the sweep's: nothing says why it is there, and nothing that we cannot know yet."""
    if is_told(state, pair):
        return False
    if pair.deployment in state.unreadable_deployments or pair.device in state.unreadable_devices:
        return False
    # A device that has introduced itself is registered first; it may be wanted then.
    return pair.device in state.devices or pair.device not in state.infos


def _put(deployment: Deployment, pair: Pair, cell: Cell | None, *, vanished: bool) -> Put:
    if cell is None:
        return Put(pair, deployment.wanted, 0, check_afresh=vanished)
    owner = cell.value.owner if cell.value is not None else None
    ours = owner is not None and owner.uid == deployment.uid and owner.generation <= deployment.generation
    return Put(pair, deployment.wanted, cell.revision, check_afresh=not ours)


def _delete(pair: Pair, cell: Cell | None) -> Delete:
    return Delete(pair, cell.revision if cell is not None else 0)


def _holds(cell: Cell, deployment: Deployment) -> bool:
    value = cell.value
    return value is not None and value.owner.uid == deployment.uid and value.score == deployment.score
