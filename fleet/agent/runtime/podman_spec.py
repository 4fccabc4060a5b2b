"""What podman is told of a service, and what podman tells of a container. Pure.

The body is a libpod specification as podman 4.3 and 5 read it. Whatever a device's containers.conf or the service's
environment could change without being asked is said explicitly; everything else is podman's default, so that a
container here behaves as one of `podman run` does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fleet.agent.model import Container, ContainerState, HostPort, ServiceSpec, Slot, container_name
from fleet.canonical import Json
from fleet.errors import WireError
from fleet.rules import LABEL, PORT_MAX, TOKEN
from fleet.wire import DeviceId, Port, Resources, Volume, deployment_name

DEVICE_LABEL: Final = "dev.fleetproof.device"
_DEPLOYMENT_LABEL: Final = "dev.fleetproof.deployment"
_SERVICE_LABEL: Final = "dev.fleetproof.service"
_DIGEST_LABEL: Final = "dev.fleetproof.digest"

LOG_BYTES_MAX: Final = 10 * 1024 * 1024
_CPU_PERIOD_US: Final = 100_000
_CPU_QUOTA_US_MIN: Final = 1_000  # the kernel takes no less

SIGNALS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "SIGHUP": 1,
        "SIGINT": 2,
        "SIGQUIT": 3,
        "SIGKILL": 9,
        "SIGUSR1": 10,
        "SIGUSR2": 12,
        "SIGTERM": 15,
        "SIGWINCH": 28,
        "SIGRTMIN+3": 37,
    }
)
"""Numbers on Linux. SIGRTMIN is 34, as podman and systemd have it, whatever the C library below this Python says."""

_STATES: Final[Mapping[str, ContainerState]] = MappingProxyType(
    {
        # Configured: its storage is there, nothing of it runs. So is one that ran when the machine lost power, in 4.3.
        "created": ContainerState.CREATED,
        # Set up in the OCI runtime and not let go yet; a podman killed here leaves it so, and start goes on from it.
        "initialized": ContainerState.CREATED,
        "running": ContainerState.RUNNING,
        # A stop is under way, or its podman was killed meanwhile and the process may ignore the signal for ever.
        "stopping": ContainerState.RUNNING,
        # The process ended, its network and mounts are not cleaned up yet; start and remove do that.
        "stopped": ContainerState.EXITED,
        "exited": ContainerState.EXITED,
        # A removal is under way, or its podman was killed meanwhile: then nothing but another removal ends it. Nothing
        # of it runs, so whoever meets it may go on as with an exited one; start finishes the removal.
        "removing": ContainerState.EXITED,
        "paused": ContainerState.OTHER,
        "unknown": ContainerState.OTHER,
    }
)


_NOTHING_RUNS: Final = frozenset({"created", "stopped", "exited", "removing"})


def create_body(device: DeviceId, spec: ServiceSpec) -> dict[str, Json]:
    """The specification of exactly this container. A command is all that runs: the image's entrypoint is not added."""
    service = spec.service
    body: dict[str, Json] = {
        "name": container_name(device, spec),
        "image": service.image,
        "env": {variable.name: variable.value for variable in service.env},
        "env_host": False,
        "httpproxy": False,
        "labels": labels(device, spec),
        "log_configuration": {"driver": "k8s-file", "size": LOG_BYTES_MAX},
        "mounts": [_bind(volume) for volume in service.volumes if _is_path(volume)],
        "volumes": [_named(volume) for volume in service.volumes if not _is_path(volume)],
        "portmappings": [_mapping(port) for port in service.ports],
        # Starting again and judging health is the agent's business alone, by what the score says.
        "restart_policy": "no",
        "healthconfig": {"Test": ["NONE"]},
        # The service's own notify socket is not the container's.
        "sdnotifyMode": "ignore",
        "stop_signal": SIGNALS[spec.lifecycle.stop_signal],
        "stop_timeout": spec.lifecycle.grace_period_secs,
    }
    if service.command:
        body["entrypoint"] = list(service.command)
    if limits := _limits(service.resources):
        body["resource_limits"] = limits
    return body


def labels(device: DeviceId, spec: ServiceSpec) -> dict[str, str]:
    return {
        DEVICE_LABEL: device,
        _DEPLOYMENT_LABEL: spec.deployment,
        _SERVICE_LABEL: spec.service.name,
        _DIGEST_LABEL: spec.digest,
    }


def _is_path(volume: Volume) -> bool:
    return volume.source.startswith("/")


def _bind(volume: Volume) -> Json:
    return {
        "type": "bind",
        "source": volume.source,
        "destination": volume.target,
        "options": ["ro" if volume.read_only else "rw"],
    }


def _named(volume: Volume) -> Json:
    return {"Name": volume.source, "Dest": volume.target, "Options": ["ro" if volume.read_only else "rw"]}


def _mapping(port: Port) -> Json:
    return {"container_port": port.container_port, "host_port": port.host_port, "protocol": port.protocol.lower()}


def _limits(resources: Resources) -> dict[str, Json]:
    limits: dict[str, Json] = {}
    if resources.cpu_millis is not None:
        quota_us = max(resources.cpu_millis * _CPU_PERIOD_US // 1000, _CPU_QUOTA_US_MIN)
        limits["cpu"] = {"quota": quota_us, "period": _CPU_PERIOD_US}
    if resources.memory_bytes is not None:
        # With swap on top podman would allow twice as much.
        limits["memory"] = {"limit": resources.memory_bytes, "swap": resources.memory_bytes}
    return limits


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of podman's list, whoever made the container; `state` is podman's own word."""

    id: str
    name: str
    labels: Mapping[str, object]
    state: str
    exit_code: int | None
    host_ports: frozenset[HostPort]

    @property
    def may_run(self) -> bool:
        return self.state not in _NOTHING_RUNS


def read_listed(entry: object) -> Listed:
    """ValueError if it is no entry of a list."""
    entry = _object(entry)
    names, values = entry.get("Names"), entry.get("Labels")
    return Listed(
        id=text(entry, "Id"),
        name=names[0] if isinstance(names, list) and names and isinstance(names[0], str) else "",
        labels=values if isinstance(values, dict) else {},
        state=text(entry, "State"),
        exit_code=integer(entry, "ExitCode") if entry.get("Exited") is True else None,
        host_ports=frozenset(_host_ports(entry.get("Ports"))),
    )


def container_of(device: DeviceId, listed: Listed) -> Container | None:
    """What it is to the agent; None if its labels are not ours as a whole."""
    found = slot_and_digest(device, listed.labels)
    if found is None:
        return None
    slot, digest = found
    state = _STATES.get(listed.state, ContainerState.OTHER)
    return Container(listed.id, listed.name, slot, digest, state, listed.exit_code, listed.host_ports)


def slot_and_digest(device: DeviceId, values: Mapping[str, object]) -> tuple[Slot, str] | None:
    """What the labels of a container of this device name; None if they are not ours, all four of them."""
    if values.get(DEVICE_LABEL) != device:
        return None
    named = [values.get(label) for label in (_DEPLOYMENT_LABEL, _SERVICE_LABEL, _DIGEST_LABEL)]
    deployment, service, digest = (value if isinstance(value, str) else "" for value in named)
    try:
        slot = Slot(deployment_name(deployment), LABEL.check(service, "service"))
        return slot, TOKEN.check(digest, "digest")
    except WireError:
        return None


def _host_ports(found: object) -> Iterator[HostPort]:
    """Podman joins neighbours to one range."""
    for item in map(_object, found if isinstance(found, list) else ()):
        first, protocol = integer(item, "host_port"), text(item, "protocol").upper()
        for offset in range(min(integer(item, "range"), PORT_MAX)):
            yield first + offset, protocol


def read_grace_s(found: object) -> int:
    """The stop timeout that is baked into an inspected container; ValueError if it is none."""
    return integer(_object(_object(found).get("Config")), "StopTimeout")


def missing_source(spec: ServiceSpec, words: str) -> str | None:
    """Podman's bare words about a path that is not there, said so that somebody can mend it."""
    for volume in spec.service.volumes:
        if _is_path(volume) and words.endswith(f"{volume.source}: no such file or directory"):
            return f"volume source {volume.source} is not there on this device; create it, or name a volume"
    return None


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError("expected an object")  # noqa: TRY004 - of the peer's data, not of our types
    return value


def text(entry: Mapping[str, object], key: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise ValueError(f"expected a text at {key}")  # noqa: TRY004 - of the peer's data, not of our types
    return value


def integer(entry: Mapping[str, object], key: str) -> int:
    value = entry.get(key)
    if not isinstance(value, int):
        raise ValueError(f"expected a whole number at {key}")  # noqa: TRY004 - likewise
    return value
