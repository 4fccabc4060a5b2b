"""Defects of an agent. What an agent is told: deletions, absence, bad values, and the whole way from kubectl."""

from scenarios.defects.defect import Defect

AGENT_ORDERS: tuple[Defect, ...] = ()
