"""What the bucket holds is not read at the start: every key is written once more."""

from fleet.operator import writers
from fleet.operator.decide import Delete, Put, decide_pair
from fleet.operator.state import FleetState
from fleet.wire import DesiredState, Owner, Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    written: set[Pair] = set()

    def decide(state: FleetState, pair: Pair) -> Put | Delete | None:
        deployment = state.deployments.get(pair.deployment)
        if deployment is None or not state.is_matched(pair) or pair in written:
            return decide_pair(state, pair)
        written.add(pair)
        cell = state.desired.get(pair)
        value = DesiredState(Owner(deployment.uid, deployment.generation), deployment.score).encode()
        return Put(pair, value, cell.revision if cell is not None else 0)

    writers.decide_pair = decide  # type: ignore[attr-defined] # the name that `writers` imported, not the function


NO_SEED = Defect(
    name="no-seed",
    shape="cold-restart-full-kv",
    case="8x4-sigkill",
    check="zero-desired-writes",
    story="The list of keys already written lived in memory only. After every rollout of the operator each device got "
    "its whole desired state again, and agents of that time restarted their containers on it.",
    patch=_patch,
)
