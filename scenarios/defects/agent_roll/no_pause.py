"""What fails is tried again at once, as often as the machine can."""

from dataclasses import replace

from fleet.agent.attempts import Attempts
from fleet.agent.model import Failure
from scenarios.defects.defect import Defect


def _patch() -> None:
    failed = Attempts.failed

    def at_once(attempts: Attempts, failure: Failure, now_s: float, dice: float) -> Attempts:
        return replace(failed(attempts, failure, now_s, dice), not_before_s=now_s)

    Attempts.failed = at_once  # type: ignore[method-assign, assignment] # the point of a defect


NO_PAUSE = Defect(
    name="no-pause",
    part="agent",
    shape="bad-version",
    case="exits-at-once",
    check="crash-loop-paused",
    story="A container that ended was started again at once. A bad version took all of a gateway's CPU, and the "
    "logs of its starts wore out the flash.",
    patch=_patch,
)
