"""What goes on while the operator rebuilds its view: shapes 14, 16 and 17."""

from scenarios.catalogue.shape import Shape

REBUILD: tuple[Shape, ...] = ()
