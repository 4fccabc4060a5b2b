"""A key is an orphan if its Deployment or its Device is gone, and not if the one no longer selects the other."""

from fleet.operator import decide, sweeper
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    is_orphan = decide.is_orphan

    def of_gone_objects(state: FleetState, pair: Pair) -> bool:
        both = pair.deployment in state.deployments and pair.device in state.devices
        return not both and is_orphan(state, pair)

    decide.is_orphan = sweeper.is_orphan = of_gone_objects  # type: ignore[attr-defined] # the name that it imported


UNSELECTED_KEPT = Defect(
    name="unselected-kept",
    shape="selector-change-while-down",
    case="shrink",
    check="keys-purged",
    story="The difference was taken when a watch event brought the old selector and the new one. An edit during a "
    "restart brings only the new one, and the devices that it leaves out ran the old version for months.",
    patch=_patch,
)
