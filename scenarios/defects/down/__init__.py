"""Defects that the family `down` of the catalogue catches."""

from scenarios.defects.defect import Defect

DOWN: tuple[Defect, ...] = ()
