"""Defects of an agent. What an agent keeps running: ticks, deaths, power, a runtime that is away."""

from scenarios.defects.agent_upkeep.adopted_by_name import ADOPTED_BY_NAME
from scenarios.defects.agent_upkeep.asks_without_pause import ASKS_WITHOUT_PAUSE
from scenarios.defects.agent_upkeep.labelled_by_life import LABELLED_BY_LIFE
from scenarios.defects.agent_upkeep.last_good_lies import LAST_GOOD_LIES
from scenarios.defects.agent_upkeep.made_anew import MADE_ANEW
from scenarios.defects.agent_upkeep.no_pauses import NO_PAUSES
from scenarios.defects.agent_upkeep.redeploy_loop import REDEPLOY_LOOP
from scenarios.defects.agent_upkeep.silence_is_empty import SILENCE_IS_EMPTY
from scenarios.defects.agent_upkeep.unknown_is_orphan import UNKNOWN_IS_ORPHAN
from scenarios.defects.agent_upkeep.waits_for_broker import WAITS_FOR_BROKER
from scenarios.defects.defect import Defect

AGENT_UPKEEP: tuple[Defect, ...] = (
    REDEPLOY_LOOP,
    LABELLED_BY_LIFE,
    NO_PAUSES,
    MADE_ANEW,
    ADOPTED_BY_NAME,
    WAITS_FOR_BROKER,
    LAST_GOOD_LIES,
    UNKNOWN_IS_ORPHAN,
    SILENCE_IS_EMPTY,
    ASKS_WITHOUT_PAUSE,
)
