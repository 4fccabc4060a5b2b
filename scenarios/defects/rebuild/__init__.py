"""Defects that the family `rebuild` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.rebuild.beats_copied import BEATS_COPIED
from scenarios.defects.rebuild.first_of_equal_times import FIRST_OF_EQUAL_TIMES
from scenarios.defects.rebuild.news_before_ready import NEWS_BEFORE_READY
from scenarios.defects.rebuild.no_event_time_guard import NO_EVENT_TIME_GUARD
from scenarios.defects.rebuild.watch_of_another_version import WATCH_OF_ANOTHER_VERSION

REBUILD: tuple[Defect, ...] = (
    NO_EVENT_TIME_GUARD,
    FIRST_OF_EQUAL_TIMES,
    NEWS_BEFORE_READY,
    WATCH_OF_ANOTHER_VERSION,
    BEATS_COPIED,
)
