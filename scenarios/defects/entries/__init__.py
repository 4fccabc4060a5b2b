"""Defects that the family `entries` of the catalogue catches."""

from scenarios.defects.defect import Defect

ENTRIES: tuple[Defect, ...] = ()
