"""Defects that the family `entries` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.entries.believed_clock import BELIEVED_CLOCK
from scenarios.defects.entries.complains_each_time import COMPLAINS_EACH_TIME
from scenarios.defects.entries.crash_on_format import CRASH_ON_FORMAT
from scenarios.defects.entries.odd_keys_swept import ODD_KEYS_SWEPT
from scenarios.defects.entries.older_report_wins import OLDER_REPORT_WINS
from scenarios.defects.entries.orphans_left import ORPHANS_LEFT
from scenarios.defects.entries.poisoned_replay import POISONED_REPLAY
from scenarios.defects.entries.raw_bytes_compared import RAW_BYTES_COMPARED
from scenarios.defects.entries.repaired_for_ever import REPAIRED_FOR_EVER
from scenarios.defects.entries.split_from_the_left import SPLIT_FROM_THE_LEFT

ENTRIES: tuple[Defect, ...] = (
    POISONED_REPLAY,
    BELIEVED_CLOCK,
    OLDER_REPORT_WINS,
    COMPLAINS_EACH_TIME,
    CRASH_ON_FORMAT,
    REPAIRED_FOR_EVER,
    RAW_BYTES_COMPARED,
    SPLIT_FROM_THE_LEFT,
    ORPHANS_LEFT,
    ODD_KEYS_SWEPT,
)
