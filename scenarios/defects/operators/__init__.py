"""Defects that the family `operators` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.operators.late_unfenced_status import LATE_UNFENCED_STATUS
from scenarios.defects.operators.other_encoder import OTHER_ENCODER
from scenarios.defects.operators.stale_deletes import STALE_DELETES
from scenarios.defects.operators.unfenced_puts import UNFENCED_PUTS

OPERATORS: tuple[Defect, ...] = (STALE_DELETES, LATE_UNFENCED_STATUS, OTHER_ENCODER, UNFENCED_PUTS)
