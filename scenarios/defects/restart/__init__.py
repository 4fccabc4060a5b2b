"""Defects that the family `restart` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.restart.consumers_left_behind import CONSUMERS_LEFT_BEHIND
from scenarios.defects.restart.dirty_marks_lost import DIRTY_MARKS_LOST
from scenarios.defects.restart.end_of_link_ends_replay import END_OF_LINK_ENDS_REPLAY
from scenarios.defects.restart.last_status_believed import LAST_STATUS_BELIEVED
from scenarios.defects.restart.latch_on_first_source import LATCH_ON_FIRST_SOURCE
from scenarios.defects.restart.no_seed import NO_SEED
from scenarios.defects.restart.resumes_where_it_was import RESUMES_WHERE_IT_WAS
from scenarios.defects.restart.seed_counts_as_running import SEED_COUNTS_AS_RUNNING
from scenarios.defects.restart.transitions_anew import TRANSITIONS_ANEW

RESTART: tuple[Defect, ...] = (
    NO_SEED,
    LATCH_ON_FIRST_SOURCE,
    TRANSITIONS_ANEW,
    SEED_COUNTS_AS_RUNNING,
    LAST_STATUS_BELIEVED,
    END_OF_LINK_ENDS_REPLAY,
    RESUMES_WHERE_IT_WAS,
    CONSUMERS_LEFT_BEHIND,
    DIRTY_MARKS_LOST,
)
