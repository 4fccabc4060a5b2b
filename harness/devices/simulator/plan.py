"""What is to be simulated: how many devices, whose labels, at which rates, and against which broker. Pure."""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fleet.errors import WireError
from fleet.wire import DeviceId, DeviceInfo, device_id
from harness.errors import HarnessError

DEVICES_MAX = 100_000
CONNECTIONS_MAX = 1_000
AGENT_VERSION = "0.0.0"
_DEVICES_PER_CONNECTION = 250
_NUMBER = re.compile(r"\{i(?:(%|//)([1-9]\d{0,8}))?\}")


class BadPlan(HarnessError):  # noqa: N818 - names a state
    """What was asked for cannot be simulated, or not against this broker."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`labels` are templates (see `labels_of`); devices are numbered from `first`; `seconds` None: until stopped.

    `connections` 0: one for each 250 devices.
    """

    url: str
    devices: int
    labels: Mapping[str, str] = field(default_factory=dict)
    beat_every_s: float = 30.0
    state_changes_per_s: float = 0.0
    failed_percent: float = 2.0
    starts_per_s: float = 500.0
    connections: int = 0
    first: int = 0
    seconds: float | None = None

    def __post_init__(self) -> None:
        for number in (self.first, self.first + self.devices - 1):
            try:
                self.facts(number).encode()
            except WireError as e:
                raise BadPlan(f"--labels: device {self.name(number)} would have facts that nobody accepts: {e}") from e

    @property
    def where(self) -> str:
        """The broker, without credentials."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}:{parts.port}"

    @property
    def lines(self) -> int:
        """How many connections the devices share."""
        return min(self.connections or -(-self.devices // _DEVICES_PER_CONNECTION), self.devices, CONNECTIONS_MAX)

    @staticmethod
    def name(number: int) -> DeviceId:
        """Every one has the prefix by which a simulated device is recognised."""
        return device_id(f"sim-{number:05d}")

    def facts(self, number: int) -> DeviceInfo:
        """The boot id is the device's for ever: facts that did not change are not written again."""
        labels = {key: _filled_in(value, number) for key, value in self.labels.items()}
        return DeviceInfo(
            arch="x86_64", os="simulated", agent_version=AGENT_VERSION, labels=labels, boot_id=f"sim-{number}"
        )


def labels_of(texts: Iterable[str]) -> dict[str, str]:
    """Templates by label key, from `key=value`; in a value `{i}`, `{i%N}`, `{i//N}` stand for the device's number."""
    labels: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or key in labels:
            raise BadPlan(f"--labels {text[:100]!a}: expected key=value, each key once, as in group=g{{i%4}}")
        labels[key] = value
    return labels


def check_broker(url: str, named: str | None) -> None:
    """Raises BadPlan unless `url` is one NATS server, on loopback or on the host that the user has `named`."""
    wrong = BadPlan("--nats is no NATS address: expected nats://HOST:PORT")
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as e:
        raise wrong from e
    if host is None or port is None or parts.scheme not in {"nats", "tls"}:
        raise wrong
    if named is not None and named.lower() != host:
        raise BadPlan(f"--yes-this-broker names {named[:100]!a}, and --nats is on {host}")
    if named is None and not _is_loopback(host):
        raise BadPlan(f"{host} is not on this machine: to load that broker add --yes-this-broker {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _filled_in(template: str, number: int) -> str:
    def fill(found: re.Match[str]) -> str:
        if found[1] is None:
            return str(number)
        by = int(found[2])
        return str(number % by if found[1] == "%" else number // by)

    return _NUMBER.sub(fill, template)
