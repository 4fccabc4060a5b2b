"""What an agent rolls forward: from one version to the next."""

from scenarios.catalogue.shape import Shape

AGENT_ROLL: tuple[Shape, ...] = ()
