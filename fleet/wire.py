"""The wire contract in code: all of its names, its payloads, and their only encoding (docs/contract.md is the prose).

What a payload's `encode` returns, the matching `decode_...` reads back as an equal value, or it raises: nothing
leaves this process that a peer would have to refuse. Only None and what is empty are left out of the bytes, and a
field that joined later while it has its default. desired-state is executed, so an unknown field is refused; in reports
it is ignored, so that a newer agent is not dropped by an older operator. Pure: no I/O, no clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from fleet import rules
from fleet.canonical import INT_MAX, loads
from fleet.fields import Fields, encode
from fleet.wire_keys import (
    DESIRED_SUBJECT_PREFIX,
    REPUBLISH_SUBJECT,
    Bucket,
    DeploymentName,
    DeviceId,
    Pair,
    deployment_name,
    desired_filter,
    desired_key,
    desired_subject,
    device_id,
    heartbeat_key,
    info_key,
    kv_subject,
    parse_desired_key,
    parse_desired_subject,
    parse_heartbeat_key,
    parse_info_key,
    parse_state_key,
    state_key,
    stream_name,
)
from fleet.wire_score import (
    EnvVar,
    HealthCheck,
    Lifecycle,
    Port,
    PullPolicy,
    Resources,
    Score,
    Service,
    Volume,
    read_score,
)

__all__ = [
    "DESIRED_STATE_BYTES_MAX",
    "DESIRED_SUBJECT_PREFIX",
    "DEVICE_INFO_BYTES_MAX",
    "DEVICE_STATE_BYTES_MAX",
    "HEARTBEAT_BYTES_MAX",
    "REPUBLISH_SUBJECT",
    "Bucket",
    "DeploymentName",
    "DesiredState",
    "DeviceId",
    "DeviceInfo",
    "DeviceState",
    "EnvVar",
    "HealthCheck",
    "Heartbeat",
    "Lifecycle",
    "Owner",
    "Pair",
    "Phase",
    "Port",
    "PullPolicy",
    "Resources",
    "Score",
    "Service",
    "Volume",
    "decode_desired_state",
    "decode_device_info",
    "decode_device_state",
    "decode_heartbeat",
    "deployment_name",
    "desired_filter",
    "desired_key",
    "desired_subject",
    "device_id",
    "heartbeat_key",
    "info_key",
    "kv_subject",
    "parse_desired_key",
    "parse_desired_subject",
    "parse_heartbeat_key",
    "parse_info_key",
    "parse_state_key",
    "state_key",
    "stream_name",
]

DESIRED_STATE_BYTES_MAX = 512 * 1024
DEVICE_STATE_BYTES_MAX = 64 * 1024
DEVICE_INFO_BYTES_MAX = 64 * 1024
HEARTBEAT_BYTES_MAX = 4 * 1024


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
        return encode(self, decode_desired_state)


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
        return encode(self, decode_device_state)


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
        return encode(self, decode_device_info)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A sign of life. `sequence` grows by one a beat within one `instance_id`; `action_id` names a running upgrade."""

    agent_version: str
    instance_id: str
    sequence: int
    busy: bool
    action_id: str | None = None

    def encode(self) -> bytes:
        return encode(self, decode_heartbeat)


def decode_desired_state(data: bytes) -> DesiredState:
    """Decode, refusing unknown fields; WireError with the path of what is wrong."""
    root = Fields(loads(data, size_bytes_max=DESIRED_STATE_BYTES_MAX))
    desired = DesiredState(_owner(root.object("owner")), read_score(root.object("score")))
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
