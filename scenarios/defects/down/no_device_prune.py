"""Only a Deployment that is gone makes an orphan; nobody looks for Devices that are."""

from fleet.operator import decide, sweeper
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    is_orphan = decide.is_orphan

    def of_known_devices(state: FleetState, pair: Pair) -> bool:
        return pair.device in state.devices and is_orphan(state, pair)

    decide.is_orphan = sweeper.is_orphan = of_known_devices  # type: ignore[attr-defined] # the name that it imported


NO_DEVICE_PRUNE = Defect(
    name="no-device-prune",
    shape="device-deleted-while-down",
    case="info-gone-one",
    check="keys-purged",
    story="Keys of a Device were deleted when the watch said that it went. Two hundred devices were sold while the "
    "operator was down for an upgrade, and their keys were still there when the buyer's agents connected.",
    patch=_patch,
)
