"""Defects that the family `apiserver` of the catalogue catches."""

from scenarios.defects.apiserver.exits_on_5xx import EXITS_ON_5XX
from scenarios.defects.apiserver.failed_patch_forgotten import FAILED_PATCH_FORGOTTEN
from scenarios.defects.apiserver.loop_dies import LOOP_DIES
from scenarios.defects.apiserver.old_version_for_ever import OLD_VERSION_FOR_EVER
from scenarios.defects.apiserver.ready_to_the_last import READY_TO_THE_LAST
from scenarios.defects.apiserver.retries_without_pause import RETRIES_WITHOUT_PAUSE
from scenarios.defects.defect import Defect

APISERVER: tuple[Defect, ...] = (
    LOOP_DIES,
    READY_TO_THE_LAST,
    EXITS_ON_5XX,
    RETRIES_WITHOUT_PAUSE,
    OLD_VERSION_FOR_EVER,
    FAILED_PATCH_FORGOTTEN,
)
