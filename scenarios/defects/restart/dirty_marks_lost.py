"""Only what changes after convergence marks a status dirty; a replay does not."""

from fleet.operator.status_ticker import StatusTicker
from scenarios.defects.defect import Defect


def _patch() -> None:
    wake = StatusTicker.wake

    def forget_then_wake(self: StatusTicker) -> None:
        if self._recovery.converged and not self._converged.is_set():
            self._state.dirty_status.clear()
        wake(self)

    StatusTicker.wake = forget_then_wake  # type: ignore[method-assign] # the point of a defect


DIRTY_MARKS_LOST = Defect(
    name="dirty-marks-lost",
    shape="killed-mid-tick",
    case="k1",
    check="status-true-within-a-tick",
    story="The set of statuses to patch was drained before the patches were sent and lived in memory only. Whatever "
    "was in it when the pod was evicted stayed wrong until the device happened to report again.",
    patch=_patch,
)
