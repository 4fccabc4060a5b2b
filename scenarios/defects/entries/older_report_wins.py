"""Whatever report comes last replaces the one before, of whatever time it is."""

from scenarios.defects.defect import Defect
from scenarios.defects.rebuild.no_event_time_guard import ignore_event_times

OLDER_REPORT_WINS = Defect(
    name="older-report-wins",
    shape="malformed-device-state",
    case="clock-1971-up",
    check="newest-event-counts",
    story="The bucket was taken for an order of events. A gateway that had buffered reports through an outage sent "
    "them when it was back, and devices that had long recovered were shown as failed.",
    patch=ignore_event_times,
)
