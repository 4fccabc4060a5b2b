"""Deliberately broken variants of the product: each patches it from outside, and names the check that must catch it."""

from scenarios.defects.buckets_made_again import BUCKETS_MADE_AGAIN
from scenarios.defects.defect import Defect
from scenarios.defects.dirty_marks_lost import DIRTY_MARKS_LOST
from scenarios.defects.latch_on_first_source import LATCH_ON_FIRST_SOURCE
from scenarios.defects.no_seed import NO_SEED
from scenarios.defects.plain_buckets import PLAIN_BUCKETS
from scenarios.defects.stale_deletes import STALE_DELETES

DEFECTS: dict[str, Defect] = {
    defect.name: defect
    for defect in (
        LATCH_ON_FIRST_SOURCE,
        NO_SEED,
        PLAIN_BUCKETS,
        BUCKETS_MADE_AGAIN,
        DIRTY_MARKS_LOST,
        STALE_DELETES,
    )
}


def defects_of(shape_id: str) -> list[Defect]:
    return [defect for defect in DEFECTS.values() if defect.shape == shape_id]
