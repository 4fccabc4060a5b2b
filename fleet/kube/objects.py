"""Custom resources as the API server writes them (camelCase), turned into the values the operator thinks in."""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from fleet.errors import WireError
from fleet.kube.decoding import Event, Metadata, ObjectDecoder, Page
from fleet.wire import (
    DeploymentName,
    DesiredState,
    DeviceId,
    EnvVar,
    HealthCheck,
    Lifecycle,
    Owner,
    Port,
    PullPolicy,
    Resources,
    Score,
    Service,
    Volume,
    deployment_name,
    device_id,
)

Json = dict[str, object]

_WANTED_REMEMBERED_MAX = 1024


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment CR. `status` is the informer's copy, compared against and never interpreted.

    `wanted` are the canonical bytes that each of its devices is to be given. Raises WireError if there are none.
    """

    name: DeploymentName
    uid: str
    generation: int
    resource_version: str
    deleting: bool
    selector: Mapping[str, str]
    score: Score
    status: Mapping[str, object]
    finalizers: tuple[str, ...] = ()
    wanted: bytes = b""

    def __post_init__(self) -> None:
        if not self.wanted:
            msgspec.structs.force_setattr(self, "wanted", _wanted(Owner(self.uid, self.generation), self.score))


@lru_cache(_WANTED_REMEMBERED_MAX)
def _wanted(owner: Owner, score: Score) -> bytes:
    """Encoded once: every patch of a status brings the object anew, and what it asks for is the same."""
    return DesiredState(owner, score).encode()


class Device(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A Device CR, with what decisions need of it."""

    name: DeviceId
    resource_version: str
    deleting: bool
    blocked: bool
    labels: Mapping[str, str]
    uid: str = ""
    finalizers: tuple[str, ...] = ()
    generation: int = 1


class _Camel(msgspec.Struct, rename="camel", frozen=True, gc=False):
    pass


class _EnvVar(_Camel, frozen=True, gc=False):
    name: str
    value: str = ""


class _Port(_Camel, frozen=True, gc=False):
    container_port: int
    host_port: int
    protocol: str = "TCP"


class _Volume(_Camel, frozen=True, gc=False):
    source: str
    target: str
    read_only: bool = False


class _Resources(_Camel, frozen=True, gc=False):
    cpu_millis: int | None = None
    memory_bytes: int | None = None


class _HealthCheck(_Camel, frozen=True, gc=False):
    command: tuple[str, ...]
    interval_secs: int = 30
    timeout_secs: int = 5
    retries: int = 3


class _Service(_Camel, frozen=True, gc=False):
    name: str
    image: str
    command: tuple[str, ...] = ()
    env: tuple[_EnvVar, ...] = ()
    ports: tuple[_Port, ...] = ()
    volumes: tuple[_Volume, ...] = ()
    resources: _Resources = _Resources()
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    health_check: _HealthCheck | None = None


class _Lifecycle(_Camel, frozen=True, gc=False):
    stop_signal: str = "SIGTERM"
    grace_period_secs: int = 30


class _Selector(_Camel, frozen=True, gc=False):
    match_labels: dict[str, str]


class _DeploymentSpec(_Camel, frozen=True, gc=False):
    target_selector: _Selector
    services: tuple[_Service, ...]
    lifecycle: _Lifecycle = _Lifecycle()


class _DeploymentObject(_Camel, frozen=True, gc=False):
    metadata: Metadata
    spec: _DeploymentSpec
    status: Json = {}


class _DeviceSpec(_Camel, frozen=True, gc=False):
    labels: dict[str, str] = {}
    blocked: bool = False


class _DeviceObject(_Camel, frozen=True, gc=False):
    metadata: Metadata
    spec: _DeviceSpec = _DeviceSpec()


def _deployment(item: _DeploymentObject) -> Deployment:
    selector = item.spec.target_selector.match_labels
    if not selector:
        raise WireError("not a Deployment: an empty selector, which does not mean all devices")
    # What cannot be written to a device is refused here, where it is one malformed object, and not when it is written.
    return Deployment(
        name=deployment_name(item.metadata.name),
        uid=item.metadata.uid,
        generation=item.metadata.generation,
        resource_version=item.metadata.resource_version,
        deleting=item.metadata.deletion_timestamp is not None,
        selector=selector,
        score=_score(item.spec),
        status=item.status,
        finalizers=item.metadata.finalizers,
    )


def _device(item: _DeviceObject) -> Device:
    metadata, spec = item.metadata, item.spec
    return Device(
        name=device_id(metadata.name),
        resource_version=metadata.resource_version,
        deleting=metadata.deletion_timestamp is not None,
        blocked=spec.blocked,
        labels=spec.labels,
        uid=metadata.uid,
        finalizers=metadata.finalizers,
        generation=metadata.generation,
    )


def _score(spec: _DeploymentSpec) -> Score:
    lifecycle = Lifecycle(spec.lifecycle.stop_signal, spec.lifecycle.grace_period_secs)
    return Score(tuple(map(_service, spec.services)), lifecycle)


def _service(service: _Service) -> Service:
    return Service(
        name=service.name,
        image=service.image,
        command=service.command,
        env=tuple(EnvVar(e.name, e.value) for e in service.env),
        ports=tuple(Port(p.container_port, p.host_port, p.protocol) for p in service.ports),
        volumes=tuple(Volume(v.source, v.target, v.read_only) for v in service.volumes),
        resources=Resources(service.resources.cpu_millis, service.resources.memory_bytes),
        image_pull_policy=service.image_pull_policy,
        health_check=None if service.health_check is None else _health_check(service.health_check),
    )


def _health_check(check: _HealthCheck) -> HealthCheck:
    return HealthCheck(check.command, check.interval_secs, check.timeout_secs, check.retries)


decode_deployment = ObjectDecoder(
    "Deployment",
    msgspec.json.Decoder(_DeploymentObject),
    msgspec.json.Decoder(Page[_DeploymentObject]),
    msgspec.json.Decoder(Event[_DeploymentObject]),
    _deployment,
)
decode_device = ObjectDecoder(
    "Device",
    msgspec.json.Decoder(_DeviceObject),
    msgspec.json.Decoder(Page[_DeviceObject]),
    msgspec.json.Decoder(Event[_DeviceObject]),
    _device,
)
