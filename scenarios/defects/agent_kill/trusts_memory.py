"""The agent knows of the containers that it made itself, and of no others."""

import secrets
from collections.abc import Sequence

from fleet.agent.model import Container, ServiceSpec, container_name
from fleet.agent.runtime import podman, podman_spec
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.wire import DeviceId
from scenarios.defects.defect import Defect


def _patch() -> None:
    life = secrets.token_hex(4)
    made: set[str] = set()
    create, containers = PodmanRuntime.create, PodmanRuntime.containers

    async def noted(self: PodmanRuntime, spec: ServiceSpec) -> str:
        made.add(container := await create(self, spec))
        return container

    async def own(self: PodmanRuntime) -> Sequence[Container]:
        return [container for container in await containers(self) if container.id in made]

    def name(device: DeviceId, spec: ServiceSpec) -> str:
        return f"{container_name(device, spec)}.{life}"

    PodmanRuntime.create, PodmanRuntime.containers = noted, own  # type: ignore[method-assign] # the point of a defect
    podman.container_name = podman_spec.container_name = name  # type: ignore[attr-defined] # the names that they imported


TRUSTS_MEMORY = Defect(
    name="trusts-memory",
    shape="killed-mid-roll",
    case="started",
    check="never-two-running",
    story="The agent kept a list of its containers in memory instead of asking podman. After the out-of-memory killer "
    "had taken it, the next one found an empty list and started everything a second time, beside what ran.",
    patch=_patch,
    part="agent",
)
