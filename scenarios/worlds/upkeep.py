"""What the scenarios of an agent's upkeep do alike: a device whose agent asks podman through a fault point."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from fleet.wire import DesiredState, EnvVar, Lifecycle, Phase, Port, Service, Volume
from harness.checks.container_lives import Life, in_slot
from harness.checks.reporting import last_reports
from harness.env import Environment
from harness.history import ContainerEvent, Gate, KvEntry
from harness.services.payload_images import image
from harness.services.podman_gate import PodmanGate
from harness.services.process import ManagedProcess
from harness.services.tools import run_tool
from harness.wait import wait_for
from scenarios.worlds.agent import APP, DEVICE, LIFECYCLE, Fleet

NEEDS = ("podman",)
SLOT = f"{APP}/main"
TICK_S = 0.05
WITHIN_S = 12.0
"""Several times what anything here takes on a busy machine; a defective agent is waited for as long."""
V1, V2 = image("v1"), image("v2")


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A fleet of one device, and the fault point before its podman."""

    fleet: Fleet
    gate: PodmanGate
    settings: Mapping[str, str]

    @property
    def env(self) -> Environment:
        return self.fleet.env

    async def start_agent(self) -> ManagedProcess:
        """The next life."""
        return await self.fleet.device.start_agent(self.settings)

    async def wait_looks(self, count: int, *, deadline_s: float = WITHIN_S) -> None:
        """Until podman has been asked so many more times for its containers, and answered."""
        before = self._looks()
        await wait_for(
            f"{count} looks at podman",
            lambda: True if self._looks() - before >= count else None,
            deadline_s=deadline_s,
        )

    async def wait_beats(self, count: int = 1) -> None:
        """Until the broker has stored so many more heartbeats: who beats has the device lock and a connection."""
        before = self._beats()
        await wait_for(
            f"{count} heartbeats", lambda: True if self._beats() - before >= count else None, deadline_s=WITHIN_S
        )

    async def wait_healthy(self, order: DesiredState | None = None) -> None:
        """Until it is reported Running, and no error is; of that desired state, if one is named."""

        def probe() -> bool | None:
            _, report = last_reports(self.env.recorder.history()).get((DEVICE, APP), (0, None))
            if report is None or report.phase is not Phase.RUNNING or report.last_error is not None:
                return None
            return True if order is None or order.owner == report.owner else None

        await wait_for(f"{DEVICE} to report {APP} as Running without an error", probe, deadline_s=WITHIN_S)

    async def wait_reason(self, reason: str, *, deadline_s: float = WITHIN_S) -> None:
        """Until the last report has that reason in its error, whatever its phase."""

        def probe() -> bool | None:
            _, report = last_reports(self.env.recorder.history()).get((DEVICE, APP), (0, None))
            return True if report is not None and reason in (report.last_error or "") else None

        await wait_for(f"{DEVICE} to report {reason}", probe, deadline_s=deadline_s)

    async def wait_alone(self, image_name: str) -> None:
        """Until one of that image runs in the slot, and no other container is there."""

        def probe() -> bool | None:
            there = [life for life in in_slot(self.env.recorder.history(), DEVICE, SLOT) if life.removed is None]
            return True if [(life.image, life.running) for life in there] == [(image_name, True)] else None

        await wait_for(f"{image_name} alone to be there", probe, deadline_s=WITHIN_S, interval_s=0.02)

    async def wait_life(self, what: str, holds: Callable[[Life], bool]) -> Life:
        """Until one of the containers in the slot is so, by podman's events. Raises WaitTimeout."""

        def probe() -> Life | None:
            there = in_slot(self.env.recorder.history(), DEVICE, SLOT)
            return next((life for life in reversed(there) if holds(life)), None)

        return await wait_for(what, probe, deadline_s=WITHIN_S, interval_s=0.02)

    async def wait_running(self, image_name: str, *, starts: int = 1) -> Life:
        """Until a container of that image, started so many times, runs in the slot."""
        return await self.wait_life(
            f"{image_name} to run",
            lambda life: life.running and life.image == image_name and len(life.runs) >= starts,
        )

    async def container(self) -> ContainerEvent:
        """The newest one in the slot, as it was made."""
        life = await self.wait_life("a container", lambda _: True)
        return next(e for e in self.env.recorder.history().of(ContainerEvent) if e.id == life.id)

    async def tell_starts(self) -> None:
        """Write down what podman, asked, says that runs, and whose start it never told: it was killed meanwhile."""
        running = (await self.fleet.device.host.podman("ps", "--quiet", "--no-trunc")).split()
        await self.env.settle_witnesses()
        recorder = self.env.recorder
        history = recorder.history()
        for life in in_slot(history, DEVICE, SLOT):
            if life.id in running and not life.running:
                made = next(e for e in history.of(ContainerEvent) if e.id == life.id)
                now_s = recorder.now_s
                recorder.add(msgspec.structs.replace(made, at_s=now_s, happened_s=now_s, event="start"))

    async def inside(self, *command: str) -> str:
        """Run a program on the machine, past podman and agent."""
        return await run_tool(*self.fleet.device.host.enter(*command), within_s=WITHIN_S)

    def _looks(self) -> int:
        return sum(
            isinstance(r, Gate) and r.event == "passed" and "/containers/json" in r.path
            for r in self.env.recorder.records
        )

    def _beats(self) -> int:
        return sum(isinstance(r, KvEntry) and r.key == f"heartbeat.{DEVICE}" for r in self.env.recorder.records)


@asynccontextmanager
async def upkeep(
    env: Environment,
    services: Sequence[Service] = (),
    lifecycle: Lifecycle = LIFECYCLE,
    *,
    tick_s: float = TICK_S,
    gated: bool = True,
) -> AsyncIterator[Upkeep]:
    """A device and its agent; these services (`full` if none is named) are reported Running.

    Not `gated`: the agent asks podman's own socket, and nobody counts.
    """
    env.step("setup", "one device with podman, its agent, one deployment that runs")
    orders = await env.orders()
    await orders.make_buckets()
    device = await env.start_device(DEVICE)
    async with PodmanGate(device.host, env.recorder) as gate:
        settings = {"FLEET_TICK_S": f"{tick_s:g}", **({"FLEET_PODMAN_SOCKET": str(gate.socket)} if gated else {})}
        world = Upkeep(Fleet(env, orders, device), gate, settings)
        await world.start_agent()
        await world.fleet.run(services or [full()], lifecycle)
        yield world


def full(version: str = "v1", *behaviour: str) -> Service:
    """One with all that podman reports in other words than it was told: a command, env, ports, volumes."""
    return Service(
        "main",
        image(version),
        ("/bin/payload", *(behaviour or ("sleep",))),
        env=(EnvVar("MODE", "on"), EnvVar("EMPTY", "")),
        ports=(Port(80, 8080),),
        volumes=(Volume("data", "/data"), Volume("/etc/containers", "/conf", read_only=True)),
    )
