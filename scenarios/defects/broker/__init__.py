"""Defects that the family `broker` of the catalogue catches."""

from scenarios.defects.broker.already_written import ALREADY_WRITTEN
from scenarios.defects.broker.buckets_made_again import BUCKETS_MADE_AGAIN
from scenarios.defects.broker.float_revisions import FLOAT_REVISIONS
from scenarios.defects.broker.loss_swept import LOSS_SWEPT
from scenarios.defects.broker.nobody_asked import NOBODY_ASKED
from scenarios.defects.broker.plain_buckets import PLAIN_BUCKETS
from scenarios.defects.broker.waits_in_silence import WAITS_IN_SILENCE
from scenarios.defects.broker.watcher_dies_quietly import WATCHER_DIES_QUIETLY
from scenarios.defects.defect import Defect

BROKER: tuple[Defect, ...] = (
    PLAIN_BUCKETS,
    BUCKETS_MADE_AGAIN,
    WATCHER_DIES_QUIETLY,
    LOSS_SWEPT,
    ALREADY_WRITTEN,
    NOBODY_ASKED,
    FLOAT_REVISIONS,
    WAITS_IN_SILENCE,
)
