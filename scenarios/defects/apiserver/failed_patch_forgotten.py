"""A status that could not be patched is not tried again."""

from fleet.kube.objects import Deployment
from fleet.operator.status import Json
from fleet.operator.status_ticker import StatusTicker
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = StatusTicker._store

    async def store(self: StatusTicker, deployment: Deployment, status: Json) -> bool:
        stored = await sound(self, deployment, status)
        # A conflict is another matter: it was met with a new decision in those days, too.
        if deployment.name in self._failed:
            self._state.dirty_status.discard(deployment.name)
        return stored

    StatusTicker._store = store  # type: ignore[method-assign] # the point of a defect


FAILED_PATCH_FORGOTTEN = Defect(
    name="failed-patch-forgotten",
    shape="apiserver-away-mid-rebuild",
    case="converged-500-patch",
    check="status-true",
    story="The dirty mark was taken away before the patch was sent, and a patch that failed was logged. A webhook that "
    "timed out for a minute left three statuses wrong for a week: nothing changed that would have marked them again.",
    patch=_patch,
)
