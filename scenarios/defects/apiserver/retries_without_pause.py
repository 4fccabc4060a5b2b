"""After trouble it tries again at once, and again."""

from fleet.backoff import Backoff
from scenarios.defects.defect import Defect


def _patch() -> None:
    def at_once(_: Backoff, *, lasted_s: float) -> float:
        return 0.0 * lasted_s

    Backoff.delay_s = at_once  # type: ignore[method-assign, assignment] # the point of a defect


RETRIES_WITHOUT_PAUSE = Defect(
    name="retries-without-pause",
    shape="apiserver-away-mid-rebuild",
    case="429",
    check="no-hammering",
    story="The retry was a loop with a `continue`. An overloaded API server said 429 to everybody, and each operator "
    "answered with thousands of lists a second, so that it never recovered.",
    patch=_patch,
)
