"""Whatever report is stored last counts, whenever its event was."""

from datetime import datetime

from fleet.operator.decoding import Report
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def ignore_event_times() -> None:
    """Each report counts as if it were the first that was ever heard of its pair."""
    fold = FleetState.report

    def unguarded(self: FleetState, pair: Pair, report: Report | None, stored_at: datetime | None = None) -> None:
        if report is not None:
            self.reports.pop(pair, None)
        fold(self, pair, report, stored_at)

    FleetState.report = unguarded  # type: ignore[method-assign] # the point of a defect


NO_EVENT_TIME_GUARD = Defect(
    name="no-event-time-guard",
    shape="write-load-during-rebuild",
    case="100-disordered",
    check="event-time-wins",
    story="Reports were taken in the order in which they came. A gateway that buffers for its devices sent an hour "
    "of old failures after the news that all was well again, and the dashboard stayed red for weeks.",
    patch=ignore_event_times,
)
