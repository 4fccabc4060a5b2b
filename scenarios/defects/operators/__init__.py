"""Defects that the family `operators` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.operators.stale_deletes import STALE_DELETES

OPERATORS: tuple[Defect, ...] = (STALE_DELETES,)
