"""A device without a Device object is taken for one that is gone, and is registered once its keys are."""

from fleet.operator import decide, object_writer, sweeper
from fleet.operator.lifecycle import Forget, Register, SetFinalizers
from fleet.operator.state import FleetState
from fleet.wire import DeviceId, Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    decide_device = object_writer.decide_device  # type: ignore[attr-defined] # the name that it imported

    def register_late(state: FleetState, name: DeviceId) -> SetFinalizers | Register | Forget | None:
        step: SetFinalizers | Register | Forget | None = decide_device(state, name)
        return None if isinstance(step, Register) and state.unwanted.of_device[name] else step

    def is_orphan(state: FleetState, pair: Pair) -> bool:
        return not decide.is_told(state, pair)

    object_writer.decide_device = register_late  # type: ignore[attr-defined] # the name that it imported
    decide.is_orphan = sweeper.is_orphan = is_orphan  # type: ignore[attr-defined] # the name that it imported


SWEPT_BEFORE_REGISTERED = Defect(
    name="swept-before-registered",
    shape="device-deleted-while-down",
    case="info-kept-one",
    check="others-kept",
    story="Devices were registered by another process, which came up later than the operator. After a restore of etcd "
    "from the day before, every device that was younger than the backup had to tear down, and then to start again.",
    patch=_patch,
)
