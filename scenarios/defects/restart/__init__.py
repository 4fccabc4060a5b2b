"""Defects that the family `restart` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.restart.dirty_marks_lost import DIRTY_MARKS_LOST
from scenarios.defects.restart.latch_on_first_source import LATCH_ON_FIRST_SOURCE
from scenarios.defects.restart.no_seed import NO_SEED

RESTART: tuple[Defect, ...] = (NO_SEED, LATCH_ON_FIRST_SOURCE, DIRTY_MARKS_LOST)
