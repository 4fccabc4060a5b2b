"""Of two reports with the same event time the one that was stored first counts, as if the second were a repetition."""

from datetime import datetime

from fleet.operator.decoding import Report
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    fold = FleetState.report

    def strictly_newer(self: FleetState, pair: Pair, report: Report | None, stored_at: datetime | None = None) -> None:
        known = self.reports.get(pair)
        if known is not None and report is not None and known.last_event_at == report.last_event_at:
            return
        fold(self, pair, report, stored_at)

    FleetState.report = strictly_newer  # type: ignore[method-assign] # the point of a defect


FIRST_OF_EQUAL_TIMES = Defect(
    name="first-of-equal-times",
    shape="write-load-during-rebuild",
    case="100-same-times",
    check="status-true",
    story="Equal event times were taken for a message delivered twice. Boards without a battery for their clock start "
    "in 1970 until they have synchronised, and all that they said until then after the first report was dropped.",
    patch=_patch,
)
