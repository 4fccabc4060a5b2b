"""A key with a higher generation than its Deployment has is taken for newer, and left."""

from fleet.operator import desired_writer
from fleet.operator.decide import Delete, Put, decide_pair
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    def decide(state: FleetState, pair: Pair) -> Put | Delete | None:
        cell, deployment = state.desired.cells.get(pair), state.deployments.get(pair.deployment)
        owner = cell.value.owner if cell is not None and cell.value is not None else None
        if owner is not None and deployment is not None and owner.generation > deployment.generation:
            return None
        return decide_pair(state, pair)

    desired_writer.decide_pair = decide  # type: ignore[attr-defined] # the name that it imported, not the function


LOWER_GENERATION_REFUSED = Defect(
    name="lower-generation-refused",
    shape="etcd-restored",
    case="lacks-edit-up",
    check="one-edit-k-writes",
    story="To be safe against a stale cache, the writer never went below a generation that it found. After a restore "
    "of etcd every edit was ignored until the counter had passed its old mark, and nobody was told.",
    patch=_patch,
)
