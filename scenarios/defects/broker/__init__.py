"""Defects that the family `broker` of the catalogue catches."""

from scenarios.defects.broker.buckets_made_again import BUCKETS_MADE_AGAIN
from scenarios.defects.broker.plain_buckets import PLAIN_BUCKETS
from scenarios.defects.defect import Defect

BROKER: tuple[Defect, ...] = (PLAIN_BUCKETS, BUCKETS_MADE_AGAIN)
