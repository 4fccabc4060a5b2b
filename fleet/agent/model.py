"""What the agent's parts say to each other about containers. Pure.

A container is one service of one deployment, made to one `digest`. Identity is by labels and id: what a runtime can
tell of a container (its env, its volumes) is never compared with what is wanted.
"""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

from fleet.canonical import dumps
from fleet.fields import to_json
from fleet.wire import DeploymentName, DeviceId, Lifecycle, PullPolicy, Service

_DIGEST_CHARS = 16


class Reason(StrEnum):
    """Why a service is not as it should be: the first word of a report's `last_error`, stable for machines."""

    DESIRED_REFUSED = "DesiredRefused"
    IMAGE_MISSING = "ImageMissing"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    PORT_TAKEN = "PortTaken"
    NAME_TAKEN = "NameTaken"
    CREATE_FAILED = "CreateFailed"
    START_FAILED = "StartFailed"
    STOP_FAILED = "StopFailed"
    EXITED = "Exited"
    UNHEALTHY = "Unhealthy"
    STUCK = "Stuck"
    RUNTIME_AWAY = "RuntimeAway"


@dataclass(frozen=True, slots=True)
class Failure:
    """`words` are for people."""

    reason: Reason
    words: str


HostPort: TypeAlias = tuple[int, str]
"""A port of the device and its protocol, TCP or UDP."""


class ContainerState(StrEnum):
    """As far as it matters here. What podman calls stopping is RUNNING: the process may still be there."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    OTHER = "other"
    """Paused, being removed, or a word of a later podman: left alone until it changes."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One container as it is to be made. `digest` names exactly what is baked into it when it is made."""

    deployment: DeploymentName
    service: Service
    lifecycle: Lifecycle
    digest: str

    @property
    def slot(self) -> "Slot":
        return Slot(self.deployment, self.service.name)

    @property
    def host_ports(self) -> frozenset[HostPort]:
        return frozenset((port.host_port, port.protocol) for port in self.service.ports)


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """Where at most one container runs at any time."""

    deployment: DeploymentName
    service: str


@dataclass(frozen=True, slots=True)
class Container:
    """One container of ours as the runtime has it. `exit_code` is of its last end, None while it never ended.

    `host_ports` are those that it was made with: it holds them while it runs. They decide who waits for whom, never
    whether a container is the right one.
    """

    id: str
    name: str
    slot: Slot
    digest: str
    state: ContainerState
    exit_code: int | None = None
    host_ports: frozenset[HostPort] = frozenset()

    @property
    def active(self) -> bool:
        """It runs, or nobody knows that it does not."""
        return self.state in (ContainerState.RUNNING, ContainerState.OTHER)


def spec_of(deployment: DeploymentName, service: Service, lifecycle: Lifecycle) -> ServiceSpec:
    """How a container is checked and when its image is pulled is not part of it: an edit of those replaces nothing."""
    made_of = replace(service, health_check=None, image_pull_policy=PullPolicy.IF_NOT_PRESENT)
    baked = dumps({"lifecycle": to_json(lifecycle), "service": to_json(made_of)})
    return ServiceSpec(deployment, service, lifecycle, hashlib.sha256(baked).hexdigest()[:_DIGEST_CHARS])


def container_name(device: DeviceId, spec: ServiceSpec) -> str:
    """Unique on the machine, whichever agents share it: only a device id may hold dots, and it comes first."""
    return f"fleet.{device}.{spec.deployment}.{spec.service.name}.{spec.digest}"
