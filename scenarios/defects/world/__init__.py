"""Defects that the family `world` of the catalogue catches."""

from scenarios.defects.defect import Defect

WORLD: tuple[Defect, ...] = ()
