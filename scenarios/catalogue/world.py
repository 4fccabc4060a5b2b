"""The world is not the one that the operator knows: the cases W."""

from scenarios.catalogue.shape import Shape

WORLD: tuple[Shape, ...] = ()
