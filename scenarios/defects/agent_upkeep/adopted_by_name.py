"""Whatever has the name of our container is taken for it."""

import re

from fleet.agent.model import ServiceSpec, container_name
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.protocol import RuntimeTrouble
from scenarios.defects.defect import Defect


def _patch() -> None:
    create = PodmanRuntime.create

    async def create_or_clear(self: PodmanRuntime, spec: ServiceSpec) -> str:
        try:
            return await create(self, spec)
        except RuntimeTrouble:
            there = await self._look(name=f"^{re.escape(container_name(self._device, spec))}$")
            if there is None:
                raise
            # It must be an old one of ours.
            await self._remove(there.id, force=True)
            return await create(self, spec)

    PodmanRuntime.create = create_or_clear  # type: ignore[method-assign] # the point of a defect


ADOPTED_BY_NAME = Defect(
    name="adopted-by-name",
    shape="container-dies",
    case="name-taken",
    check="stranger-untouched",
    story="When a name was taken, the agent removed whatever had it: a left-over of its own, surely. On one site a "
    "technician had restored a container from a backup, under its old name, and it was gone within a second.",
    patch=_patch,
    part="agent",
)
