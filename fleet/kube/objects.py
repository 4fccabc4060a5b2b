"""Custom resources as the API server writes them (camelCase), turned into the values the operator thinks in."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from fleet.errors import WireError
from fleet.wire import (
    DeploymentName,
    DesiredState,
    DeviceId,
    EnvVar,
    Lifecycle,
    Owner,
    Port,
    Score,
    Service,
    Volume,
    deployment_name,
    device_id,
)

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A Deployment CR. `status` is the informer's copy, compared against and never interpreted."""

    name: DeploymentName
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    selector: Mapping[str, str]
    score: Score
    status: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Device:
    """A Device CR, with what decisions need of it."""

    name: DeviceId
    resource_version: str
    deleting: bool
    blocked: bool
    labels: Mapping[str, str]


class _Camel(msgspec.Struct, rename="camel", frozen=True):
    pass


class _Metadata(_Camel, frozen=True):
    name: str
    uid: str
    resource_version: str
    generation: int = 1
    deletion_timestamp: str | None = None


class _EnvVar(_Camel, frozen=True):
    name: str
    value: str = ""


class _Port(_Camel, frozen=True):
    container_port: int
    host_port: int
    protocol: str = "TCP"


class _Volume(_Camel, frozen=True):
    source: str
    target: str
    read_only: bool = False


class _Service(_Camel, frozen=True):
    name: str
    image: str
    command: tuple[str, ...] = ()
    env: tuple[_EnvVar, ...] = ()
    ports: tuple[_Port, ...] = ()
    volumes: tuple[_Volume, ...] = ()


class _Lifecycle(_Camel, frozen=True):
    stop_signal: str = "SIGTERM"
    grace_period_secs: int = 30


class _Selector(_Camel, frozen=True):
    match_labels: dict[str, str]


class _DeploymentSpec(_Camel, frozen=True):
    target_selector: _Selector
    services: tuple[_Service, ...]
    lifecycle: _Lifecycle = _Lifecycle()


class _DeploymentObject(_Camel, frozen=True):
    metadata: _Metadata
    spec: _DeploymentSpec
    status: Json = {}


class _DeviceSpec(_Camel, frozen=True):
    labels: dict[str, str] = {}
    blocked: bool = False


class _DeviceObject(_Camel, frozen=True):
    metadata: _Metadata
    spec: _DeviceSpec = _DeviceSpec()


_deployments = msgspec.json.Decoder(_DeploymentObject)
_devices = msgspec.json.Decoder(_DeviceObject)


def decode_deployment(data: bytes) -> Deployment:
    """Raises WireError if the object is not one that our schema would have admitted."""
    try:
        item = _deployments.decode(data)
    except msgspec.MsgspecError as e:
        raise WireError(f"not a Deployment: {e}") from e
    selector = item.spec.target_selector.match_labels
    if not selector:
        raise WireError("not a Deployment: an empty selector, which does not mean all devices")
    score = _score(item.spec)
    # What cannot be written to a device is refused here, where it is one malformed object, and not when it is written.
    DesiredState(Owner(item.metadata.uid, item.metadata.generation), score).encode()
    return Deployment(
        name=deployment_name(item.metadata.name),
        uid=item.metadata.uid,
        generation=item.metadata.generation,
        resource_version=item.metadata.resource_version,
        deleting=item.metadata.deletion_timestamp is not None,
        selector=selector,
        score=score,
        status=item.status,
    )


def decode_device(data: bytes) -> Device:
    """Raises WireError if the object is not one that our schema would have admitted."""
    try:
        item = _devices.decode(data)
    except msgspec.MsgspecError as e:
        raise WireError(f"not a Device: {e}") from e
    return Device(
        name=device_id(item.metadata.name),
        resource_version=item.metadata.resource_version,
        deleting=item.metadata.deletion_timestamp is not None,
        blocked=item.spec.blocked,
        labels=item.spec.labels,
    )


def _score(spec: _DeploymentSpec) -> Score:
    return Score(
        services=tuple(
            Service(
                name=s.name,
                image=s.image,
                command=s.command,
                env=tuple(EnvVar(e.name, e.value) for e in s.env),
                ports=tuple(Port(p.container_port, p.host_port, p.protocol) for p in s.ports),
                volumes=tuple(Volume(v.source, v.target, v.read_only) for v in s.volumes),
            )
            for s in spec.services
        ),
        lifecycle=Lifecycle(spec.lifecycle.stop_signal, spec.lifecycle.grace_period_secs),
    )
