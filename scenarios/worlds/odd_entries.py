"""What the scenarios about odd entries do alike: write them by hand, and wait for what the operator says of them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from fleet.wire import Bucket, DesiredState, DeviceState, Pair, Phase, deployment_name, device_id
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.kill import Kill
from harness.faults.malformed import PlantedEntries
from harness.history import Complaints
from harness.observers.complaints import complaints_of
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.worlds.fleet import Size, start_again

COMPLAINED_WITHIN_S = 10.0
SIZE = Size(8, 4)
# The two devices of `SIZE` that the first Deployment selects.
ONE = Pair(device_id("device-0000"), deployment_name("app-00"))
TWIN = Pair(device_id("device-0004"), deployment_name("app-00"))


def by_hand(
    env: Environment, bucket: Bucket, values: Mapping[str, bytes], *, cure: Callable[[], Awaitable[None]] | None = None
) -> PlantedEntries:
    """Entries that are written on the witness's connection, which no fault touches."""
    js = env.witnesses.buckets.client.jetstream()
    return PlantedEntries(js, env.recorder, bucket, values, cure=cure)


def failed_now(desired: DesiredState) -> DeviceState:
    return DeviceState(Phase.FAILED, datetime.now(UTC), desired.owner)


async def report(devices: ScriptedDevices, phases: dict[Pair, Phase]) -> None:
    """All of these at once; each is acknowledged on return."""
    async with asyncio.TaskGroup() as group:
        for pair, phase in phases.items():
            group.create_task(devices.report(pair, phase, "disk full" if phase is Phase.FAILED else None))


async def wait_complaints(env: Environment, operator: OperatorProcess, keys: int) -> None:
    """Wait until an operator has named so many keys in its log, and write down what it said of them by then."""

    async def probe() -> Complaints | None:
        told = await complaints_of(operator, env.recorder)
        return told if len(told.logged) >= keys else None

    try:
        await wait_for(f"{keys} keys in the log", probe, deadline_s=COMPLAINED_WITHIN_S, interval_s=0.1)
    finally:
        env.recorder.add(await complaints_of(operator, env.recorder))


async def killed_if(env: Environment, operator: OperatorProcess, *, down: bool) -> Kill | None:
    """The operator is killed if what follows is to happen while none is there."""
    if not down:
        return None
    env.step("action", "SIGKILL to the operator")
    kill = Kill(operator, env.start_operator)
    await env.strike(kill)
    return kill


async def back_if(env: Environment, operator: OperatorProcess, kill: Kill | None) -> OperatorProcess:
    """Who is there now: the successor of a killed operator, converged, or the one that never left."""
    if kill is None:
        return operator
    env.step("action", "start it again")
    return await start_again(env, kill)
