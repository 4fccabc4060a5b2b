"""Defects that the family `apiserver` of the catalogue catches."""

from scenarios.defects.defect import Defect

APISERVER: tuple[Defect, ...] = ()
