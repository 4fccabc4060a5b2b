"""Defects that the family of what an agent rolls forward catches."""

from scenarios.defects.agent_roll.dropped_left import DROPPED_LEFT
from scenarios.defects.agent_roll.dropped_without_grace import DROPPED_WITHOUT_GRACE
from scenarios.defects.agent_roll.env_taken_for_drift import ENV_TAKEN_FOR_DRIFT
from scenarios.defects.agent_roll.image_alone_compared import IMAGE_ALONE_COMPARED
from scenarios.defects.agent_roll.killed_at_once import KILLED_AT_ONCE
from scenarios.defects.agent_roll.new_values_stop_the_old import NEW_VALUES_STOP_THE_OLD
from scenarios.defects.agent_roll.no_pause import NO_PAUSE
from scenarios.defects.agent_roll.reverted import REVERTED
from scenarios.defects.agent_roll.start_before_stop import START_BEFORE_STOP
from scenarios.defects.agent_roll.stopped_first import STOPPED_FIRST
from scenarios.defects.agent_roll.whole_score_replaced import WHOLE_SCORE_REPLACED
from scenarios.defects.defect import Defect

AGENT_ROLL: tuple[Defect, ...] = (
    ENV_TAKEN_FOR_DRIFT,
    IMAGE_ALONE_COMPARED,
    START_BEFORE_STOP,
    WHOLE_SCORE_REPLACED,
    REVERTED,
    NO_PAUSE,
    STOPPED_FIRST,
    NEW_VALUES_STOP_THE_OLD,
    KILLED_AT_ONCE,
    DROPPED_LEFT,
    DROPPED_WITHOUT_GRACE,
)
