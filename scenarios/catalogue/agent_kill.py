"""An agent that is killed in the middle of a roll."""

from scenarios.catalogue.shape import Shape

AGENT_KILL: tuple[Shape, ...] = ()
