"""Defects that the family `world` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.world.brake_forgets import BRAKE_FORGETS
from scenarios.defects.world.buckets_in_turn import BUCKETS_IN_TURN
from scenarios.defects.world.cluster_asked_once import CLUSTER_ASKED_ONCE
from scenarios.defects.world.definitions_unasked import DEFINITIONS_UNASKED
from scenarios.defects.world.empty_list_believed import EMPTY_LIST_BELIEVED
from scenarios.defects.world.identity_unchecked import IDENTITY_UNCHECKED
from scenarios.defects.world.lower_generation_refused import LOWER_GENERATION_REFUSED

WORLD: tuple[Defect, ...] = (
    EMPTY_LIST_BELIEVED,
    DEFINITIONS_UNASKED,
    BRAKE_FORGETS,
    LOWER_GENERATION_REFUSED,
    IDENTITY_UNCHECKED,
    BUCKETS_IN_TURN,
    CLUSTER_ASKED_ONCE,
)
