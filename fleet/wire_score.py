"""The score: what a device is to run for one deployment, and how it is read from a stranger's JSON. Pure.

A score is executed, so whoever reads one ends with `Fields.done()`: an unknown field is refused at any depth.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from fleet import rules
from fleet.canonical import excerpt
from fleet.errors import WireError
from fleet.fields import LEFT_OUT_BY_DEFAULT, Fields


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
class Resources:
    """The most that a container may use: thousandths of one CPU, and bytes of memory. None: no limit."""

    cpu_millis: int | None = None
    memory_bytes: int | None = None


class PullPolicy(StrEnum):
    """When a device asks the image's registry: if it has no such image, before each creation, or never."""

    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    NEVER = "Never"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A command that ends with 0 inside a healthy container; `retries` failures in a row make it unhealthy."""

    command: tuple[str, ...]
    interval_secs: int = 30
    timeout_secs: int = 5
    retries: int = 3


@dataclass(frozen=True, slots=True)
class Service:
    """One container. An empty `command` means the image's own."""

    name: str
    image: str
    command: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    ports: tuple[Port, ...] = ()
    volumes: tuple[Volume, ...] = ()
    resources: Resources = Resources()
    image_pull_policy: PullPolicy = field(default=PullPolicy.IF_NOT_PRESENT, metadata=LEFT_OUT_BY_DEFAULT)
    health_check: HealthCheck | None = None


@dataclass(frozen=True, slots=True)
class Lifecycle:
    stop_signal: str = "SIGTERM"
    grace_period_secs: int = 30


@dataclass(frozen=True, slots=True)
class Score:
    """What a device is to run for one deployment. The order of services is part of the value."""

    services: tuple[Service, ...]
    lifecycle: Lifecycle = Lifecycle()


def read_score(score: Fields) -> Score:
    """Read a score; WireError with the path of what is wrong."""
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
    resources = service.optional_object("resources")
    policy = service.optional_text("image_pull_policy", rules.PULL_POLICY)
    health_check = service.optional_object("health_check")
    return Service(
        name=service.text("name", rules.LABEL),
        image=service.text("image", rules.IMAGE),
        command=service.texts("command", rules.ARGUMENT, rules.COMMAND_MAX),
        env=env,
        ports=tuple(_port(item) for item in service.objects("ports", rules.PORTS_MAX)),
        volumes=volumes,
        resources=Resources() if resources is None else _resources(resources),
        image_pull_policy=PullPolicy.IF_NOT_PRESENT if policy is None else PullPolicy(policy),
        health_check=None if health_check is None else _health_check(health_check),
    )


def _env_var(env: Fields) -> EnvVar:
    return EnvVar(env.text("name", rules.ENV_NAME), env.text("value", rules.ENV_VALUE))


def _port(port: Fields) -> Port:
    container_port = port.integer("container_port", 1, rules.PORT_MAX)
    return Port(container_port, port.integer("host_port", 1, rules.PORT_MAX), port.text("protocol", rules.PROTOCOL))


def _volume(volume: Fields) -> Volume:
    target = volume.text("target", rules.VOLUME_TARGET)
    return Volume(volume.text("source", rules.VOLUME_SOURCE), target, volume.boolean("read_only"))


def _resources(resources: Fields) -> Resources:
    return Resources(
        cpu_millis=resources.optional_integer("cpu_millis", 1, rules.CPU_MILLIS_MAX),
        memory_bytes=resources.optional_integer("memory_bytes", rules.MEMORY_BYTES_MIN, rules.MEMORY_BYTES_MAX),
    )


def _health_check(check: Fields) -> HealthCheck:
    return HealthCheck(
        command=check.texts("command", rules.ARGUMENT, rules.COMMAND_MAX, count_min=1),
        interval_secs=check.integer("interval_secs", 1, rules.HEALTH_INTERVAL_SECS_MAX),
        timeout_secs=check.integer("timeout_secs", 1, rules.HEALTH_TIMEOUT_SECS_MAX),
        retries=check.integer("retries", 1, rules.HEALTH_RETRIES_MAX),
    )


def _characters(service: Service) -> int:
    return (
        len(service.image)
        + sum(map(len, service.command))
        + sum(len(e.name) + len(e.value) for e in service.env)
        + sum(len(v.source) + len(v.target) for v in service.volumes)
        + (sum(map(len, service.health_check.command)) if service.health_check else 0)
    )


def _check_unique(values: Iterable[str], where: str, what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise WireError(f"{where}: {what} {excerpt(value)} is there twice")
        seen.add(value)
