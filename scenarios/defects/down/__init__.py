"""Defects that the family `down` of the catalogue catches."""

from scenarios.defects.defect import Defect
from scenarios.defects.down.first_beat_judges_all import FIRST_BEAT_JUDGES_ALL
from scenarios.defects.down.no_brake import NO_BRAKE
from scenarios.defects.down.no_device_prune import NO_DEVICE_PRUNE
from scenarios.defects.down.no_seed_after_edit import NO_SEED_AFTER_EDIT
from scenarios.defects.down.no_sweep import NO_SWEEP
from scenarios.defects.down.silent_after_reconnect import SILENT_AFTER_RECONNECT
from scenarios.defects.down.staleness_ignored import STALENESS_IGNORED
from scenarios.defects.down.swept_at_replay import SWEPT_AT_REPLAY
from scenarios.defects.down.swept_before_registered import SWEPT_BEFORE_REGISTERED
from scenarios.defects.down.unselected_kept import UNSELECTED_KEPT

DOWN: tuple[Defect, ...] = (
    STALENESS_IGNORED,
    SILENT_AFTER_RECONNECT,
    FIRST_BEAT_JUDGES_ALL,
    NO_SWEEP,
    SWEPT_AT_REPLAY,
    NO_BRAKE,
    NO_DEVICE_PRUNE,
    SWEPT_BEFORE_REGISTERED,
    NO_SEED_AFTER_EDIT,
    UNSELECTED_KEPT,
)
