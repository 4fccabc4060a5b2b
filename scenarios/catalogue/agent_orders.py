"""What an agent is told: deletions, absence, bad values, and the whole way from kubectl."""

from scenarios.catalogue.shape import Shape

AGENT_ORDERS: tuple[Shape, ...] = ()
