"""What changes while no operator is there: shapes 3, 4, 5 and 6."""

from scenarios.catalogue.shape import Shape

DOWN: tuple[Shape, ...] = ()
