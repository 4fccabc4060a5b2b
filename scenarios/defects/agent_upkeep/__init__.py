"""Defects of an agent. What an agent keeps running: ticks, deaths, power, a runtime that is away."""

from scenarios.defects.defect import Defect

AGENT_UPKEEP: tuple[Defect, ...] = ()
