"""What ended is started again at once, for ever."""

from dataclasses import replace

from fleet.agent.attempts import Attempts
from fleet.agent.model import Failure
from scenarios.defects.defect import Defect


def _patch() -> None:
    paused = Attempts.failed

    def failed(self: Attempts, failure: Failure, now_s: float, dice: float) -> Attempts:
        return replace(paused(self, failure, now_s, dice), not_before_s=now_s)

    Attempts.failed = failed  # type: ignore[method-assign] # the point of a defect


NO_PAUSES = Defect(
    name="no-pauses",
    shape="container-dies",
    case="exits-1-in-a-loop",
    check="crash-loop-paused",
    story="A container that ended was started again in the same tick. A service with a typing error in its command was "
    "started ten times a second for a weekend; the flash of a hundred devices was worn out by the logs.",
    patch=_patch,
    part="agent",
)
