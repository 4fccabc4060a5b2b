"""What stands on the disk as reported is taken for told: a start publishes nothing of it."""

from fleet.agent.duty import Duty
from scenarios.defects.defect import Defect


def _patch() -> None:
    run = Duty.run

    async def silent(self: Duty) -> None:
        self._last = {}
        await run(self)

    Duty.run = silent  # type: ignore[method-assign] # the point of a defect


SAID_IS_TOLD = Defect(
    name="said-is-told",
    shape="killed-mid-roll",
    case="report-told",
    check="ends-as-clean-roll",
    story="A report was written to the disk and then published. An agent that died in between found it on the disk, "
    "saw no change, and said nothing: the deployment stayed Pending in the cluster for weeks, and ran all the time.",
    patch=_patch,
    part="agent",
)
