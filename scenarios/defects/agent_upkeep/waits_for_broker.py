"""What the disk holds is not carried out before the broker has been heard."""

from collections.abc import Mapping

from fleet.agent.desk import Desk
from fleet.agent.store import Kept
from fleet.wire import DeploymentName
from scenarios.defects.defect import Defect


def _patch() -> None:
    def resume(self: Desk, kept: Mapping[DeploymentName, Kept]) -> None:
        """The bucket will tell soon."""

    Desk.resume = resume  # type: ignore[method-assign] # the point of a defect


WAITS_FOR_BROKER = Defect(
    name="waits-for-broker",
    shape="power-loss",
    case="broker-away",
    check="running-at",
    story="The agent fetched its desired state when it started, and did nothing before it had it. After a power cut in "
    "a district its network came back hours later than its machines, and they stood still for as long.",
    patch=_patch,
    part="agent",
)
