"""What an agent keeps running: ticks, deaths, power, a runtime that is away."""

from scenarios.catalogue.shape import Shape

AGENT_UPKEEP: tuple[Shape, ...] = ()
