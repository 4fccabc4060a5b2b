"""What stands in the buckets and should not: shapes 11, 12 and 13."""

from scenarios.catalogue.shape import Shape

ENTRIES: tuple[Shape, ...] = ()
