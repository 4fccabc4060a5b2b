"""What the operator takes from its environment (docs/contract.md), checked before anything starts."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fleet.bus.connection import check_url
from fleet.errors import SettingsError

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_PORT_MAX = 65535


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
