"""Defects of an agent. What an agent is told: deletions, absence, bad values, and the whole way from kubectl."""

from scenarios.defects.agent_orders.absence_is_deletion import ABSENCE_BESIDE_OPERATOR, ABSENCE_IS_DELETION
from scenarios.defects.agent_orders.bad_value_stops import BAD_VALUE_STOPS
from scenarios.defects.agent_orders.last_word_wins import LAST_WORD_WINS
from scenarios.defects.agent_orders.markers_not_read import MARKERS_NOT_READ
from scenarios.defects.agent_orders.refused_for_the_next import REFUSED_FOR_THE_NEXT
from scenarios.defects.agent_orders.report_left_on_disk import REPORT_LEFT_ON_DISK
from scenarios.defects.agent_orders.unconfirmed_marker import UNCONFIRMED_MARKER
from scenarios.defects.agent_orders.unknown_fields_ignored import UNKNOWN_FIELDS_IGNORED
from scenarios.defects.defect import Defect

AGENT_ORDERS: tuple[Defect, ...] = (
    ABSENCE_IS_DELETION,
    ABSENCE_BESIDE_OPERATOR,
    UNCONFIRMED_MARKER,
    LAST_WORD_WINS,
    MARKERS_NOT_READ,
    UNKNOWN_FIELDS_IGNORED,
    BAD_VALUE_STOPS,
    REFUSED_FOR_THE_NEXT,
    REPORT_LEFT_ON_DISK,
)
