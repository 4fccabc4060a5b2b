"""What scenarios set up alike: Devices in groups, Deployments that select a group, devices that report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.crds import API_VERSION, DEPLOYMENT, DEVICE
from harness.checks.reference import World, status_shown
from harness.devices.scripted import BEAT_EVERY_S, Labels, ScriptedDevices
from harness.env import Environment
from harness.faults.kill import Kill
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.cases import still_judged

GROUPS = 4
CONVERGE_S = 30.0
# More than a tick of the operator's statuses: what it is about to do wrong is done by then.
QUIET_S = 1.5
# Where every status is true already, only records of it may still be on their way (0.12 s at most in 130 cases).
AT_REST_S = 0.5
SETTLE_S = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many; `dotted` gives devices ids with dots in them."""

    devices: int
    deployments: int
    dotted: bool = False

    @property
    def device_names(self) -> list[str]:
        form = "site-{group}.rack.device-{i:04d}" if self.dotted else "device-{i:04d}"
        return [form.format(i=i, group=i % GROUPS) for i in range(self.devices)]

    @property
    def deployment_names(self) -> list[str]:
        return [f"app-{i:02d}" for i in range(self.deployments)]

    def selected(self, deployment: int) -> int:
        """How many devices the n-th Deployment selects."""
        return len([i for i in range(self.devices) if i % GROUPS == deployment % GROUPS])


async def create(env: Environment, size: Size) -> None:
    """Create the Devices and Deployments of `size`."""
    await env.foundation.admin.create_many(
        DEVICE.plural, env.namespace, [device_body(name, i % GROUPS) for i, name in enumerate(size.device_names)]
    )
    await env.foundation.admin.create_many(
        DEPLOYMENT.plural,
        env.namespace,
        [deployment_body(name, i % GROUPS) for i, name in enumerate(size.deployment_names)],
    )


def device_body(name: str, group: int) -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": DEVICE.kind,
        "metadata": {"name": name},
        "spec": {"labels": {"group": f"g{group}"}},
    }


def deployment_body(name: str, group: int, image: str = "registry.example/app:1") -> dict[str, object]:
    return {
        "apiVersion": API_VERSION,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": name},
        "spec": {
            "targetSelector": {"matchLabels": {"group": f"g{group}"}},
            "services": [
                {
                    "name": "main",
                    "image": image,
                    "command": ["serve", "--verbose"],
                    "env": [{"name": "MODE", "value": "production"}],
                    "ports": [{"containerPort": 8080, "hostPort": 8080}],
                }
            ],
        },
    }


async def edit_image(env: Environment, deployment: str, image: str) -> None:
    """One edit of one Deployment, as an administrator makes it."""
    current = await env.foundation.admin.get(DEPLOYMENT.plural, env.namespace, deployment)
    spec = current["spec"]
    services = spec["services"] if isinstance(spec, dict) else []
    await env.foundation.admin.patch(
        DEPLOYMENT.plural,
        env.namespace,
        deployment,
        {"spec": {"services": [{**service, "image": image} for service in services]}},
    )


async def start_settled(env: Environment, size: Size) -> tuple[OperatorProcess, ScriptedDevices]:
    """Create everything, start operator and devices, and wait until every status is true."""
    env.step("setup", f"{size.devices} devices, {size.deployments} deployments, all of them running")
    await create(env, size)
    return await start_created(env, size)


async def start_created(
    env: Environment,
    size: Size,
    *,
    settings: Mapping[str, str] | None = None,
    labels: Labels | None = None,
    beat_every_s: float = BEAT_EVERY_S,
) -> tuple[OperatorProcess, ScriptedDevices]:
    """Start operator and devices of a world that was created, and wait until every status is true.

    `settings` are the operator's, `labels` those that the devices tell of themselves.
    """
    operator = await env.start_operator(settings)
    await operator.wait_converged(CONVERGE_S)
    devices = await env.start_devices(size.device_names, labels=labels, beat_every_s=beat_every_s)
    await devices.wait_ready()
    await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(AT_REST_S, deadline_s=SETTLE_S)
    return operator, devices


async def start_again(env: Environment, kill: Kill) -> OperatorProcess:
    """Start the successor of an operator that was killed, and wait until its own /recovery has said Converged.

    A status can turn true before the reader of /recovery sees that phase, so a case waits for both.
    """
    await env.mend(kill)
    if kill.successor is None:
        raise AssertionError("`mend` started a successor or raised")
    with still_judged():
        await kill.successor.wait_converged(CONVERGE_S)
    return kill.successor


async def wait_status_true(env: Environment, deadline_s: float) -> None:
    """Wait until every Deployment's status is what its devices' reports add up to, all of them running."""

    async def probe() -> Sequence[str] | None:
        await env.settle_witnesses()
        world = World.at_end(env.recorder.history())
        true = [n for n, d in world.deployments.items() if status_shown(d) == world.status(n)]
        full = world.stored.keys() == world.wanted.keys() == world.reports.keys()
        return true if full and len(true) == len(world.deployments) else None

    await wait_for("every Deployment's status to be true", probe, deadline_s=deadline_s, interval_s=0.25)
