"""A list of containers that cannot be read is taken for an empty one."""

from collections.abc import Sequence

from fleet.agent.model import Container
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.protocol import RuntimeAway
from scenarios.defects.defect import Defect


def _patch() -> None:
    containers = PodmanRuntime.containers

    async def or_none(self: PodmanRuntime) -> Sequence[Container]:
        try:
            return await containers(self)
        except RuntimeAway:
            return []

    PodmanRuntime.containers = or_none  # type: ignore[method-assign] # the point of a defect


SILENCE_IS_EMPTY = Defect(
    name="silence-is-empty",
    shape="podman-away",
    case="stopped",
    check="nothing-concluded",
    story="An error while podman was asked for its containers gave an empty list. During each update of podman every "
    "service of the fleet was reported as gone, and the people on call were woken for nothing, until they slept on.",
    patch=_patch,
    part="agent",
)
