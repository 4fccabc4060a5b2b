"""Machines with an agent each, one broker for all, and the hand that writes what they are to run."""

import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fleet.wire import (
    Bucket,
    EnvVar,
    Lifecycle,
    Pair,
    Phase,
    Service,
    Volume,
    decode_device_state,
    deployment_name,
    device_id,
    state_key,
)
from harness.bench.podman_run import Inspected, read_inspected
from harness.bench.stage import Say
from harness.devices.orders import Orders
from harness.services import payload_images
from harness.services.agent import BEAT_EVERY_S, LOOK_EVERY_S, start_agent
from harness.services.agent_file import build_agent_file, plain_python
from harness.services.device_host import DeviceHost
from harness.services.nats import NatsServer
from harness.services.payload_storage import make_storage
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.toolchain import NATS_SERVER
from harness.wait import wait_for

PRODUCT_RATES: Mapping[str, str] = {"FLEET_TICK_S": "10", "FLEET_HEARTBEAT_S": "30"}
"""The defaults, said outright: how an agent runs on a device."""
TEST_RATES: Mapping[str, str] = {"FLEET_TICK_S": f"{LOOK_EVERY_S:g}", "FLEET_HEARTBEAT_S": f"{BEAT_EVERY_S:g}"}
LIFECYCLE = Lifecycle("SIGTERM", 1)
_VERSION = "0.0.0-bench"
_DONE_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Site:
    """What all machines of one run share."""

    warden: Warden
    folder: Path
    nats: NatsServer
    orders: Orders
    storage: Path


@asynccontextmanager
async def site(binaries: Mapping[str, Path], say: Say) -> AsyncIterator[Site]:
    """Gone afterwards, whatever happens (the warden sees to SIGKILL). Raises HarnessError."""
    async with AsyncExitStack() as stack:
        warden = stack.enter_context(Warden())
        folder = warden.temp_folder("fleetproof-bench-")
        stack.callback(warden.remove_folder, folder)
        say("making the image and starting a broker")
        nats = await NatsServer.start(binaries[NATS_SERVER.name], folder / "nats", warden=warden)
        stack.push_async_callback(nats.stop)
        orders = await Orders.connect(nats.url)
        stack.push_async_callback(orders.close)
        await orders.make_buckets()
        yield Site(warden, folder, nats, orders, await make_storage(folder, warden=warden))


async def commands(here: Site, agent: Sequence[str] | None) -> dict[str, Sequence[str]]:
    """Who is measured, by name. `agent` is another one's command; None: ours, as a file and as installed here."""
    if agent is not None:
        return {"agent": agent}
    file = await build_agent_file(here.folder / "fleet-agent", version=_VERSION)
    return {"file": [plain_python(), str(file), "run"], "installed": [sys.executable, "-m", "fleet", "agent", "run"]}


@dataclass(frozen=True, slots=True)
class Subject:
    """An agent on a machine of its own, and the hand that writes what it is to run."""

    host: DeviceHost
    agent: ManagedProcess
    orders: Orders
    service: Service

    async def run(self, deployment: str) -> float:
        """Write it, and wait until it is reported Running; the Unix time just before the write."""
        began_s = time.time()
        desired = await self.orders.put(self.host.name, deployment, [self.service], LIFECYCLE)

        async def running() -> bool | None:
            self.agent.check_running()
            report = await self._report(deployment)
            state = None if report is None else decode_device_state(report)
            return True if state is not None and (state.phase, state.owner) == (Phase.RUNNING, desired.owner) else None

        await wait_for(f"{deployment} to run", running, deadline_s=_DONE_WITHIN_S, interval_s=_LOOK_EVERY_S)
        return began_s

    async def end(self, deployment: str) -> None:
        await self.orders.delete(self.host.name, deployment)

        async def gone() -> bool | None:
            self.agent.check_running()
            return True if await self._report(deployment) is None else None

        await wait_for(f"{deployment} to be gone", gone, deadline_s=_DONE_WITHIN_S, interval_s=_LOOK_EVERY_S)

    async def container(self, deployment: str) -> Inspected:
        """The only container that the agent made for it."""
        label = f"label=dev.fleetproof.deployment={deployment}"
        return await self.inspect(await self.host.podman("ps", "--quiet", "--no-trunc", "--filter", label))

    async def inspect(self, name: str) -> Inspected:
        return read_inspected(await self.host.podman("container", "inspect", name))

    async def _report(self, deployment: str) -> bytes | None:
        pair = Pair(device_id(self.host.name), deployment_name(deployment))
        return await self.orders.stored(Bucket.DEVICE_STATE, state_key(pair))


@asynccontextmanager
async def subject(here: Site, name: str, command: Sequence[str], rates: Mapping[str, str]) -> AsyncIterator[Subject]:
    """A machine of that name, its agent started and, at the end, stopped in good order. Raises ServiceError."""
    host = await DeviceHost.start(
        name, logs=here.folder, warden=here.warden, storage=here.storage, nats_address=here.nats.address
    )
    try:
        data = host.root / "data"
        data.mkdir()
        service = Service(
            "main",
            payload_images.image("v1"),
            ("/bin/payload", "sleep"),
            env=(EnvVar("LEVEL", "info"), EnvVar("MODE", "prod")),
            volumes=(Volume(str(data), "/data", read_only=False), Volume("kept", "/kept", read_only=True)),
        )
        agent = await start_agent(command, host, name=f"{name}-agent", extra=rates)
        yield Subject(host, agent, here.orders, service)
        agent.check_running()
        await agent.stop()
    finally:
        await host.close()
