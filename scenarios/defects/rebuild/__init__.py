"""Defects that the family `rebuild` of the catalogue catches."""

from scenarios.defects.defect import Defect

REBUILD: tuple[Defect, ...] = ()
