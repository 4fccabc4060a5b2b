"""Defects of an agent. An agent that is killed in the middle of a roll."""

from scenarios.defects.defect import Defect

AGENT_KILL: tuple[Defect, ...] = ()
