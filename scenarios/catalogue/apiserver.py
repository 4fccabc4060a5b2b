"""What happens to the API server: shapes 18 and 19."""

from scenarios.catalogue.shape import Shape

APISERVER: tuple[Shape, ...] = ()
