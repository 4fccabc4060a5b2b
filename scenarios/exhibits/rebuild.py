"""Faults of a rebuild."""

from scenarios.exhibits.exhibit import Exhibit

REBUILD: tuple[Exhibit, ...] = ()
