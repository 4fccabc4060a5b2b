"""Keys of nobody's are left: only what an object asks to be deleted is."""

from fleet.operator import sweeper
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    def never(_: FleetState, __: Pair) -> bool:
        return False

    sweeper.is_orphan = never  # type: ignore[attr-defined, assignment] # the name that it imported, not the function


ORPHANS_LEFT = Defect(
    name="orphans-left",
    shape="invalid-key",
    case="no-such-deployment-up",
    check="orphans-swept",
    story="A restored backup of the broker brought keys back whose Deployments had been deleted since. Nobody "
    "compared, and devices ran for months what no longer stood in any manifest.",
    patch=_patch,
)
