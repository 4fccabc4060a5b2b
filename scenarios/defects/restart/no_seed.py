"""What the bucket holds is not read at the start: every key is written once more."""

from fleet.operator import desired_writer
from fleet.operator.decide import Delete, Put, decide_pair
from fleet.operator.desired_writer import Decision, DesiredWriter
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    written: set[Pair] = set()

    def decide(state: FleetState, pair: Pair) -> Put | Delete | None:
        deployment = state.deployments.get(pair.deployment)
        if deployment is None or pair not in state.standings or pair in written:
            return decide_pair(state, pair)
        written.add(pair)
        cell = state.desired.cells.get(pair)
        return Put(pair, deployment.wanted, cell.revision if cell is not None else 0, check_afresh=False)

    def holds(_: DesiredWriter, __: Decision) -> bool:
        return True

    desired_writer.decide_pair = decide  # type: ignore[attr-defined] # the name that it imported, not the function
    DesiredWriter._holds = holds  # type: ignore[method-assign, assignment] # the point of a defect


NO_SEED = Defect(
    name="no-seed",
    shape="cold-restart-full-kv",
    case="8x4-sigkill",
    check="zero-desired-writes",
    story="The list of keys already written lived in memory only. After every rollout of the operator each device got "
    "its whole desired state again, and agents of that time restarted their containers on it.",
    patch=_patch,
)
