"""What the world of a benchmark holds, as data: an unchanged fleet in which every key and every count is already true.

Deployment i selects group i mod G, device i is in group i mod G, and G is half the number of Deployments: so two
Deployments select each device. Most pairs run; a few failed or are pending, so that counts are worth comparing. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.crds import API_VERSION, DEPLOYMENT, DEVICE
from fleet.wire import (
    DesiredState,
    DeviceId,
    DeviceInfo,
    DeviceState,
    EnvVar,
    Heartbeat,
    Owner,
    Pair,
    Phase,
    Port,
    Score,
    Service,
    deployment_name,
    device_id,
)

DEPLOYMENTS_PER_DEVICE = 2
# It stands on the objects from the start, so that no operator has to put it there while it is measured.
FINALIZER = "fleet.fleetproof.dev/keys"
IMAGE = "registry.example/app:1"
_FAILED_EVERY = 50
_PENDING_EVERY = 61
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of each."""

    devices: int
    deployments: int

    @property
    def groups(self) -> int:
        return max(1, self.deployments // DEPLOYMENTS_PER_DEVICE)

    @property
    def device_ids(self) -> list[DeviceId]:
        return [device_id(f"device-{i:06d}") for i in range(self.devices)]

    @property
    def pairs(self) -> list[Pair]:
        """Every pair that is to run, in the order of devices."""
        names = [deployment_name(f"app-{i:04d}") for i in range(self.deployments)]
        by_group = [names[group :: self.groups] for group in range(self.groups)]
        return [Pair(d, name) for i, d in enumerate(self.device_ids) for name in by_group[i % self.groups]]

    def device_bodies(self) -> list[Json]:
        return [
            {
                "apiVersion": API_VERSION,
                "kind": DEVICE.kind,
                "metadata": {"name": name, "finalizers": [FINALIZER]},
                "spec": {"labels": self.labels(i)},
            }
            for i, name in enumerate(self.device_ids)
        ]

    def deployment_bodies(self) -> list[Json]:
        return [
            {
                "apiVersion": API_VERSION,
                "kind": DEPLOYMENT.kind,
                "metadata": {"name": f"app-{i:04d}", "finalizers": [FINALIZER]},
                "spec": {
                    "targetSelector": {"matchLabels": {"group": f"g{i % self.groups}"}},
                    "services": [
                        {
                            "name": "main",
                            "image": IMAGE,
                            "command": ["serve", "--verbose"],
                            "env": [{"name": "MODE", "value": "production"}],
                            "ports": [{"containerPort": 8080, "hostPort": 20000 + i}],
                        }
                    ],
                },
            }
            for i in range(self.deployments)
        ]

    def labels(self, device: int) -> Mapping[str, str]:
        return {"group": f"g{device % self.groups}", "site": f"site-{device % 7}"}


def score(deployment: int) -> Score:
    """What the n-th Deployment's body asks for, in the wire's words."""
    service = Service(
        name="main",
        image=IMAGE,
        command=("serve", "--verbose"),
        env=(EnvVar("MODE", "production"),),
        ports=(Port(8080, 20000 + deployment),),
    )
    return Score((service,))


def desired_values(plan: Plan, owners: Mapping[str, Owner]) -> dict[str, bytes]:
    """The value of each Deployment's keys, by the Deployment's name: the same bytes on every device."""
    return {
        name: DesiredState(owners[name], score(i)).encode()
        for i, name in enumerate(f"app-{i:04d}" for i in range(plan.deployments))
    }


def reported(number: int) -> Phase:
    """The phase of the n-th pair."""
    if number % _FAILED_EVERY == _FAILED_EVERY - 1:
        return Phase.FAILED
    return Phase.PENDING if number % _PENDING_EVERY == _PENDING_EVERY - 1 else Phase.RUNNING


def state_value(phase: Phase, owner: Owner, *, number: int) -> bytes:
    """A report; of two, the one with the greater `number` is the later one."""
    return DeviceState(
        phase=phase,
        last_event_at=_BEGAN + timedelta(milliseconds=number),
        owner=owner,
        container_ids={"main": f"{number:012x}"},
        last_error="main: image not found" if phase is Phase.FAILED else None,
    ).encode()


def info_value(labels: Mapping[str, str]) -> bytes:
    return DeviceInfo(
        arch="aarch64", os="Debian GNU/Linux 12 (bookworm)", agent_version="1.4.2", labels=labels, boot_id="b-1"
    ).encode()


def heartbeat_value(sequence: int) -> bytes:
    return Heartbeat(agent_version="1.4.2", instance_id="i-1", sequence=sequence, busy=False).encode()
