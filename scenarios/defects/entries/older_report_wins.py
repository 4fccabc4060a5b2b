"""Whatever report comes last replaces the one before, of whatever time it is."""

from datetime import datetime

from fleet.operator.decoding import Report
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = FleetState.report

    def replace(self: FleetState, pair: Pair, report: Report | None, stored_at: datetime | None = None) -> None:
        if report is not None:
            self.reports.pop(pair, None)
        sound(self, pair, report, stored_at)

    FleetState.report = replace  # type: ignore[method-assign] # the point of a defect


OLDER_REPORT_WINS = Defect(
    name="older-report-wins",
    shape="malformed-device-state",
    case="clock-1971-up",
    check="newest-event-counts",
    story="The bucket was taken for an order of events. A gateway that had buffered reports through an outage sent "
    "them when it was back, and devices that had long recovered were shown as failed.",
    patch=_patch,
)
