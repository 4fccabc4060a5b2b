"""Defects of an agent. An agent that is killed in the middle of a roll."""

from scenarios.defects.agent_kill.clean_slate import CLEAN_SLATE
from scenarios.defects.agent_kill.emptied_first import EMPTIED_FIRST
from scenarios.defects.agent_kill.lock_for_show import LOCK_FOR_SHOW
from scenarios.defects.agent_kill.said_is_told import SAID_IS_TOLD
from scenarios.defects.agent_kill.trusts_memory import TRUSTS_MEMORY
from scenarios.defects.agent_kill.written_late import WRITTEN_LATE
from scenarios.defects.defect import Defect

AGENT_KILL: tuple[Defect, ...] = (
    CLEAN_SLATE,
    EMPTIED_FIRST,
    LOCK_FOR_SHOW,
    SAID_IS_TOLD,
    TRUSTS_MEMORY,
    WRITTEN_LATE,
)
