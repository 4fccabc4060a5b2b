"""An agent that starts removes every container of its device first."""

from collections.abc import Sequence

from fleet.agent.model import Container
from fleet.agent.runtime.podman import PodmanRuntime
from scenarios.defects.defect import Defect


def _patch() -> None:
    containers = PodmanRuntime.containers
    looked = False

    async def cleared(self: PodmanRuntime) -> Sequence[Container]:
        nonlocal looked
        if not looked:
            looked = True
            for container in await containers(self):
                await self.stop(container.id)
                await self.remove(container.id)
        return await containers(self)

    PodmanRuntime.containers = cleared  # type: ignore[method-assign] # the point of a defect


CLEAN_SLATE = Defect(
    name="clean-slate",
    shape="killed-mid-roll",
    case="created",
    check="untouched",
    story="Nobody trusted what a crashed agent had left behind, so each start began with a clean slate. Every crash of "
    "the agent, and every update of it, was then a restart of all that ran on the device.",
    patch=_patch,
    part="agent",
)
