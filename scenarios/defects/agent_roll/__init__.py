"""Defects of an agent. What an agent rolls forward: from one version to the next."""

from scenarios.defects.defect import Defect

AGENT_ROLL: tuple[Defect, ...] = ()
