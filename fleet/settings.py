"""What the operator and the agent take from their environments (docs/contract.md), checked before anything starts."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fleet import rules
from fleet.bus.connection import check_url
from fleet.errors import SettingsError, WireError
from fleet.wire import DeviceId, device_id

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PORT_MAX = 65535
_PATH_BYTES_MAX = 1024
_SOCKET_PATH_BYTES_MAX = 107
"""What an address of a Unix socket holds; one that is longer could never be connected to."""


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """`kubeconfig` is None in a pod: its service account is used."""

    nats_url: str
    kubeconfig: Path | None
    namespace: str
    http_host: str
    http_port: int
    start_timeout_s: float
    stale_after_s: float = 90.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "OperatorSettings":
        """Raises SettingsError that names the variable and what it should hold."""
        host, port = _address(environment.get("FLEET_HTTP_ADDR", "127.0.0.1:8080"))
        return cls(
            nats_url=check_url(_required(environment, "FLEET_NATS_URL", "nats://HOST:PORT")),
            kubeconfig=kubeconfig_at(environment.get("KUBECONFIG")),
            namespace=_namespace(_required(environment, "FLEET_NAMESPACE", "a namespace of the cluster")),
            http_host=host,
            http_port=port,
            start_timeout_s=_seconds(environment, "FLEET_START_TIMEOUT_S", "30", 3600),
            stale_after_s=_seconds(environment, "FLEET_STALE_AFTER_S", "90", 7 * 86400),
        )


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """`root` is the folder that the agent's own files are below; `labels` are what selectors match."""

    nats_url: str
    device: DeviceId
    root: Path
    podman_socket: Path
    labels: Mapping[str, str]
    heartbeat_s: float
    tick_s: float

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "AgentSettings":
        """Raises SettingsError that names the variable and what it should hold."""
        socket = environment.get("FLEET_PODMAN_SOCKET", "/run/podman/podman.sock")
        return cls(
            nats_url=check_url(_required(environment, "FLEET_NATS_URL", "nats://HOST:PORT")),
            device=_device(_required(environment, "FLEET_DEVICE_ID", "a name that no other device has")),
            root=_path("FLEET_ROOT", environment.get("FLEET_ROOT", "/"), _PATH_BYTES_MAX),
            podman_socket=_path("FLEET_PODMAN_SOCKET", socket, _SOCKET_PATH_BYTES_MAX),
            labels=_labels(environment.get("FLEET_LABELS", "")),
            heartbeat_s=_seconds(environment, "FLEET_HEARTBEAT_S", "30", 3600),
            tick_s=_seconds(environment, "FLEET_TICK_S", "10", 3600),
        )


def kubeconfig_at(value: str | None) -> Path | None:
    """A kubeconfig that is given (in KUBECONFIG, or by an option) must be one readable file."""
    if not value:
        return None
    path = Path(value)
    if not path.is_file() or not os.access(path, os.R_OK):
        raise SettingsError(f"KUBECONFIG: {path} is not a readable file")
    return path


def _required(environment: Mapping[str, str], name: str, expected: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise SettingsError(f"{name} is not set: expected {expected}")
    return value


def _namespace(value: str) -> str:
    if not _NAMESPACE.fullmatch(value):
        raise SettingsError("FLEET_NAMESPACE is not a namespace name: expected lower-case letters, digits and dashes")
    return value


def _device(value: str) -> DeviceId:
    try:
        return device_id(value)
    except WireError as e:
        raise SettingsError(f"FLEET_DEVICE_ID is not a {e}") from e


def _path(name: str, value: str, bytes_max: int) -> Path:
    path = Path(value)
    if not path.is_absolute() or "\0" in value or len(os.fsencode(path)) > bytes_max:
        raise SettingsError(f"{name} is not a path: expected an absolute one of at most {bytes_max} bytes")
    return path


def _labels(value: str) -> Mapping[str, str]:
    labels: dict[str, str] = {}
    for item in filter(None, (item.strip() for item in value.split(","))):
        key, equals, label = item.partition("=")
        try:
            rules.LABEL_KEY.check(key)
            rules.LABEL_VALUE.check(label)
        except WireError as e:
            raise SettingsError(f"FLEET_LABELS is not a list of KEY=VALUE,KEY=VALUE: {e}") from e
        if not equals or key in labels:
            raise SettingsError(f"FLEET_LABELS: expected KEY=VALUE, once for each key, at {key!r}")
        labels[key] = label
    if len(labels) > rules.LABELS_MAX:
        raise SettingsError(f"FLEET_LABELS: at most {rules.LABELS_MAX} labels, got {len(labels)}")
    return MappingProxyType(labels)


def _address(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > _PORT_MAX:
        raise SettingsError("FLEET_HTTP_ADDR is not an address: expected HOST:PORT")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _seconds(environment: Mapping[str, str], name: str, default: str, seconds_max: int) -> float:
    try:
        seconds = float(environment.get(name, default))
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= seconds_max:
        raise SettingsError(f"{name} is not a time: expected seconds above 0, at most {seconds_max}")
    return seconds
