"""The time that a device states is believed, however far ahead it is."""

from datetime import datetime

from fleet.operator.decoding import Report
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = FleetState.report

    def believe(self: FleetState, pair: Pair, report: Report | None, _: datetime | None = None) -> None:
        sound(self, pair, report)

    FleetState.report = believe  # type: ignore[method-assign, assignment] # the point of a defect


BELIEVED_CLOCK = Defect(
    name="believed-clock",
    shape="malformed-device-state",
    case="clock-2099-up",
    check="newest-event-counts",
    story="A device came out of the factory with its clock in 2099 and failed once before it had the time. From then "
    "on it was shown as failed, whatever it reported: nothing newer than that could come for 73 years.",
    patch=_patch,
)
