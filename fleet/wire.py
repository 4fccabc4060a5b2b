"""The wire contract in code: buckets, keys, payloads, and their only encoding (docs/contract.md is the prose).

What a payload's `encode` returns, the matching `decode_...` reads back as an equal value, or it raises: nothing
leaves this process that a peer would have to refuse. Only None and empty collections are left out of the bytes.
desired-state is executed, so an unknown field is refused; in reports it is ignored, so that a newer agent is
not dropped by an older operator. Pure: no I/O, no clock.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from sys import intern
from types import MappingProxyType
from typing import NamedTuple, NewType, TypeVar

from fleet import rules
from fleet.canonical import INT_MAX, dumps, excerpt, loads
from fleet.errors import WireError
from fleet.fields import Fields, to_json

DESIRED_STATE_BYTES_MAX = 512 * 1024
DEVICE_STATE_BYTES_MAX = 64 * 1024
DEVICE_INFO_BYTES_MAX = 64 * 1024
HEARTBEAT_BYTES_MAX = 4 * 1024


class Bucket(StrEnum):
    DESIRED_STATE = "desired-state"
    DEVICE_INFO = "device-info"
    DEVICE_STATE = "device-state"
    DEVICE_HEARTBEAT = "device-heartbeat"


DESIRED_SUBJECT_PREFIX = "fleet.desired"
"""desired-state republishes what it stored under this; agents listen here and nowhere else."""

REPUBLISH_SUBJECT = "fleet.republish"
"""Here the operator asks every agent to publish again all that it has; the payload says within how many seconds."""

DeviceId = NewType("DeviceId", str)
DeploymentName = NewType("DeploymentName", str)


def device_id(text: str) -> DeviceId:
    """Return the one object for this name: it stands in many keys, and lookups by it end at an identity check."""
    return DeviceId(intern(rules.SUBDOMAIN.check(text, "device id")))


def deployment_name(text: str) -> DeploymentName:
    """As `device_id`."""
    return DeploymentName(intern(rules.LABEL.check(text, "deployment name")))


class Pair(NamedTuple):
    """One deployment on one device: what a desired-state key and a device-state key name."""

    device: DeviceId
    deployment: DeploymentName


def stream_name(bucket: Bucket) -> str:
    return f"KV_{bucket}"


def kv_subject(bucket: Bucket, key: str) -> str:
    return f"$KV.{bucket}.{key}"


def desired_key(pair: Pair) -> str:
    return f"{pair.device}.{pair.deployment}"


def parse_desired_key(key: str) -> Pair:
    # A device id may hold dots and a deployment name may not: the last dot is the border.
    device, _, deployment = key.rpartition(".")
    return Pair(device_id(device), deployment_name(deployment))


def state_key(pair: Pair) -> str:
    return f"state.{desired_key(pair)}"


def parse_state_key(key: str) -> Pair:
    return parse_desired_key(_after("state.", key))


def info_key(device: DeviceId) -> str:
    return f"info.{device}"


def parse_info_key(key: str) -> DeviceId:
    return device_id(_after("info.", key))


def heartbeat_key(device: DeviceId) -> str:
    return f"heartbeat.{device}"


def parse_heartbeat_key(key: str) -> DeviceId:
    return device_id(_after("heartbeat.", key))


def desired_subject(pair: Pair) -> str:
    return f"{DESIRED_SUBJECT_PREFIX}.{desired_key(pair)}"


def parse_desired_subject(subject: str) -> Pair:
    return parse_desired_key(_after(f"{DESIRED_SUBJECT_PREFIX}.", subject))


def desired_filter(device: DeviceId) -> str:
    """Return the subject that matches each deployment of this device, and of no device whose id extends its id."""
    return f"{DESIRED_SUBJECT_PREFIX}.{device}.*"


def _after(prefix: str, key: str) -> str:
    if not key.startswith(prefix):
        raise WireError(f"expected a key that starts with {prefix}, got {excerpt(key)}")
    return key.removeprefix(prefix)


@dataclass(frozen=True, slots=True)
class EnvVar:
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Port:
    container_port: int
    host_port: int
    protocol: str = "TCP"


@dataclass(frozen=True, slots=True)
class Volume:
    """`source` is an absolute path on the device, or the name of a volume of its container runtime."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One container. An empty `command` means the image's own."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()


@dataclass(frozen=True, slots=True)
class Lifecycle:
    stop_signal: str = "SIGTERM"
    grace_period_secs: int = 30


@dataclass(frozen=True, slots=True)
class Score:
    """What a device is to run for one deployment. The order of services is part of the value."""

    services: tuple[Service, ...]
    lifecycle: Lifecycle = Lifecycle()


@dataclass(frozen=True, slots=True)
class Owner:
    """The Deployment object behind a key: `uid` tells it from another of the same name, `generation` its edits."""

    uid: str
    generation: int


@dataclass(frozen=True, slots=True)
class DesiredState:
    owner: Owner
    score: Score

    def encode(self) -> bytes:
        return _encode(self, decode_desired_state)


class Phase(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What a device reports of one deployment; `owner` is that of the desired state it acted on."""

    phase: Phase
    last_event_at: datetime
    owner: Owner
    container_ids: Mapping[str, str] = field(default_factory=dict)
    last_error: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "container_ids", MappingProxyType(dict(self.container_ids)))

    def encode(self) -> bytes:
        return _encode(self, decode_device_state)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    arch: str
    os: str
    agent_version: str
    labels: Mapping[str, str]
    boot_id: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))

    def encode(self) -> bytes:
        return _encode(self, decode_device_info)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life. `sequence` grows by one a beat within one `instance_id`; `action_id` names a running upgrade."""

    agent_version: str
    instance_id: str
    sequence: int
    busy: bool
    action_id: str | None = None

    def encode(self) -> bytes:
        return _encode(self, decode_heartbeat)


def decode_desired_state(data: bytes) -> DesiredState:
    """Decode, refusing unknown fields; WireError with the path of what is wrong."""
    root = Fields(loads(data, size_bytes_max=DESIRED_STATE_BYTES_MAX))
    desired = DesiredState(_owner(root.object("owner")), _score(root.object("score")))
    root.done()
    return desired


def decode_device_state(data: bytes) -> DeviceState:
    root = Fields(loads(data, size_bytes_max=DEVICE_STATE_BYTES_MAX))
    return DeviceState(
        phase=Phase(root.text("phase", rules.PHASE)),
        last_event_at=root.time("last_event_at"),
        owner=_owner(root.object("owner")),
        container_ids=root.text_map("container_ids", rules.LABEL, rules.TOKEN, rules.SERVICES_MAX),
        last_error=root.optional_text("last_error", rules.LAST_ERROR),
    )


def decode_device_info(data: bytes) -> DeviceInfo:
    root = Fields(loads(data, size_bytes_max=DEVICE_INFO_BYTES_MAX))
    return DeviceInfo(
        arch=root.text("arch", rules.TOKEN),
        os=root.text("os", rules.TITLE),
        agent_version=root.text("agent_version", rules.VERSION),
        labels=root.text_map("labels", rules.LABEL_KEY, rules.LABEL_VALUE, rules.LABELS_MAX),
        boot_id=root.text("boot_id", rules.TOKEN),
    )


def decode_heartbeat(data: bytes) -> Heartbeat:
    root = Fields(loads(data, size_bytes_max=HEARTBEAT_BYTES_MAX))
    return Heartbeat(
        agent_version=root.text("agent_version", rules.VERSION),
        instance_id=root.text("instance_id", rules.TOKEN),
        sequence=root.integer("sequence", 0, INT_MAX),
        busy=root.boolean("busy"),
        action_id=root.optional_text("action_id", rules.TOKEN),
    )


def _owner(owner: Fields) -> Owner:
    return Owner(owner.text("uid", rules.TOKEN), owner.integer("generation", 1, INT_MAX))


def _score(score: Fields) -> Score:
    services = tuple(_service(item) for item in score.objects("services", rules.SERVICES_MAX))
    where = score.where("services")
    if not services:
        raise WireError(f"{where}: expected at least one")
    _check_unique((s.name for s in services), where, "name")
    host_ports = [f"{p.host_port}/{p.protocol}" for s in services for p in s.ports]
    if len(host_ports) > rules.PORTS_OF_SCORE_MAX:
        raise WireError(f"{where}: at most {rules.PORTS_OF_SCORE_MAX} ports in all, got {len(host_ports)}")
    _check_unique(host_ports, where, "host port")
    characters = sum(_characters(s) for s in services)
    if characters > rules.SCORE_CHARACTERS_MAX:
        raise WireError(f"{where}: at most {rules.SCORE_CHARACTERS_MAX} characters of text, got {characters}")
    life = score.object("lifecycle")
    grace_period_secs = life.integer("grace_period_secs", 0, rules.GRACE_PERIOD_SECS_MAX)
    return Score(services, Lifecycle(life.text("stop_signal", rules.STOP_SIGNAL), grace_period_secs))


def _service(service: Fields) -> Service:
    env = tuple(_env_var(item) for item in service.objects("env", rules.ENV_MAX))
    _check_unique((e.name for e in env), service.where("env"), "name")
    volumes = tuple(_volume(item) for item in service.objects("volumes", rules.VOLUMES_MAX))
    _check_unique((v.target for v in volumes), service.where("volumes"), "target")
    return Service(
        name=service.text("name", rules.LABEL),
        image=service.text("image", rules.IMAGE),
        command=service.texts("command", rules.ARGUMENT, rules.COMMAND_MAX),
        env=env,
        ports=tuple(_port(item) for item in service.objects("ports", rules.PORTS_MAX)),
        volumes=volumes,
    )


def _env_var(env: Fields) -> EnvVar:
    return EnvVar(env.text("name", rules.ENV_NAME), env.text("value", rules.ENV_VALUE))


def _port(port: Fields) -> Port:
    container_port = port.integer("container_port", 1, rules.PORT_MAX)
    return Port(container_port, port.integer("host_port", 1, rules.PORT_MAX), port.text("protocol", rules.PROTOCOL))


def _volume(volume: Fields) -> Volume:
    target = volume.text("target", rules.VOLUME_TARGET)
    return Volume(volume.text("source", rules.VOLUME_SOURCE), target, volume.boolean("read_only"))


def _characters(service: Service) -> int:
    return (
        len(service.image)
        + sum(map(len, service.command))
        + sum(len(e.name) + len(e.value) for e in service.env)
        + sum(len(v.source) + len(v.target) for v in service.volumes)
    )


def _check_unique(values: Iterable[str], where: str, what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise WireError(f"{where}: {what} {excerpt(value)} is there twice")
        seen.add(value)


P = TypeVar("P", DesiredState, DeviceState, DeviceInfo, Heartbeat)


def _encode(payload: P, decode: Callable[[bytes], P]) -> bytes:
    data = dumps(to_json(payload))
    if decode(data) != payload:
        raise WireError(f"{type(payload).__name__} holds a value that its bytes cannot carry")
    return data
