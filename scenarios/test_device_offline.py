"""Family: what changes while no operator is there. Shape 3: devices lose their power."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.crds import DEPLOYMENT, DEVICE
from fleet.wire import Bucket, Phase, device_id, heartbeat_key
from harness.checks.judge import Check
from harness.checks.life import converged_in_time
from harness.checks.staleness import stale_told
from harness.checks.writes import no_patches, no_writes, status_unchanged
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    GROUPS,
    QUIET_S,
    SETTLE_S,
    Size,
    create,
    deployment_body,
    device_body,
    start_again,
    start_created,
)
from scenarios.worlds.looking import delete_entry, wait_right
from scenarios.worlds.silence import (
    A_TICK_S,
    ALWAYS,
    BEAT_EVERY_S,
    limit,
    passed_s,
    power_off,
    restart_of,
    settled,
)

SIZE = Size(8, 4)
LIMIT_S = 3.0


@dataclass(frozen=True, slots=True)
class Offline:
    """Which of the eight devices lose their power, and what else happens to them meanwhile."""

    off: Sequence[int]
    operator_down: bool = True
    failed_before: bool = False
    beats_deleted: bool = False
    restarted_while_silent: bool = False
    # A Deployment that selects the first of them, and of which it never hears.
    new_deployment: bool = False
    size: Size = SIZE

    @property
    def names(self) -> list[str]:
        return [self.size.device_names[i] for i in self.off]


@cases(
    "device-offline",
    {
        "one": Offline([0]),
        "one-operator-up": Offline([0], operator_down=False),
        "several-dotted": Offline([0, 1, 6], size=Size(8, 4, dotted=True)),
        "all-of-a-deployment": Offline([0, 4]),
        # Nobody beats any more: only a whole limit of unbroken connection tells.
        "all": Offline(range(8)),
        "failed-before": Offline([0], failed_before=True),
        "beats-deleted": Offline([0, 1], beats_deleted=True),
        "restarted-while-silent": Offline([0], restarted_while_silent=True),
        "never-reported": Offline([0], new_deployment=True),
    },
)
async def test_device_offline(env: Environment, case: Offline) -> None:
    """A device that reported and has no power is stale, and succeeded again as soon as it is back.

    SETUP   8 devices and 4 deployments, all running; silence is judged after 3 s
    ACTION  the operator is killed, devices lose their power, the operator is started again; later they have it again
    ASSERT  while they have none they count as stale, nobody else does, and what they never reported about is pending;
            once they are back every status says so; no key was written but those of a new deployment
    """
    operator, devices = await settled(env, case.size, LIMIT_S)
    if case.failed_before:
        await fail(devices, case.names)
        await wait_right(env)
    power = power_off(env, devices, case.names)
    await env.mark("off")
    if case.operator_down:
        env.step("action", f"the operator is killed, {power.target} without power, the operator is started again")
        kill = restart_of(env, operator, LIMIT_S)
        await env.strike(kill)
        await env.strike(power)
        if case.beats_deleted:
            await passed_s(LIMIT_S)
            for name in case.names:
                await delete_entry(env, Bucket.DEVICE_HEARTBEAT, heartbeat_key(device_id(name)))
        if case.new_deployment:
            await env.foundation.admin.create(
                DEPLOYMENT.plural, env.namespace, deployment_body("late", case.off[0] % GROUPS)
            )
        operator = await start_again(env, kill)
    else:
        env.step("action", f"{power.target} without power")
        await env.strike(power)
    with still_judged():
        await wait_right(env, silent=case.names, deadline_s=4 * LIMIT_S)
    await env.mark("told")
    if case.restarted_while_silent:
        env.step("action", "the operator is killed and started again while they are silent")
        kill = restart_of(env, operator, LIMIT_S)
        await env.strike(kill)
        await start_again(env, kill)
    await env.wait_quiet(A_TICK_S, deadline_s=SETTLE_S)
    await env.mark("still-off")

    env.step("action", f"{power.target} with power again")
    await env.mend(power)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(A_TICK_S, deadline_s=SETTLE_S)
    await env.mark("on")

    env.step("assert", "stale while off, and only those; right again afterwards")
    checks: list[Check] = [
        *ALWAYS,
        stale_told("told", "still-off"),
        status_unchanged("told", "still-off"),
    ]
    if case.operator_down:
        checks.append(converged_in_time("off", CONVERGE_S))
    if case.restarted_while_silent:
        checks.append(no_patches("told", "still-off"))
    if not case.new_deployment:
        checks.append(no_writes("off", "on"))
    require_pass(await env.judge(*checks))


@cases(
    "device-offline",
    {
        "back-before-the-restart": [0],
        "all-back-before-the-restart": range(8),
    },
)
async def test_back_before_the_restart(env: Environment, case: Sequence[int]) -> None:
    """Whoever is back before anybody could miss it was never away.

    SETUP   8 devices and 4 deployments, all running; silence is judged after 3 s
    ACTION  the operator is killed, devices lose their power for longer than that and get it again, then the operator
            is started
    ASSERT  nobody is ever stale; no status is patched and no key is written
    """
    names = [SIZE.device_names[i] for i in case]
    operator, devices = await settled(env, SIZE, LIMIT_S)
    power = power_off(env, devices, names)
    kill = restart_of(env, operator, LIMIT_S)
    await env.mark("off")
    env.step("action", f"the operator is killed; {power.target} without power for {LIMIT_S:g} s, and with it again")
    await env.strike(kill)
    await env.strike(power)
    await passed_s(LIMIT_S)
    await env.mend(power)
    await start_again(env, kill)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("on")

    env.step("assert", "nobody noticed")
    require_pass(
        await env.judge(
            *ALWAYS,
            converged_in_time("off", CONVERGE_S),
            no_writes("off", "on"),
            no_patches("off", "on"),
            status_unchanged("off", "on"),
        )
    )


@cases("device-offline", {"never-came": SIZE})
async def test_never_reported(env: Environment, case: Size) -> None:
    """A Device whose device never came is pending, however long nobody hears of it.

    SETUP   8 devices and 4 deployments, all running, and a Device of which there is no device
    ACTION  the operator is killed and started again, and works for longer than the limit
    ASSERT  it counts as pending and never as stale; nothing else changed
    """
    await create(env, case)
    operator, _ = await start_created(env, case, settings=limit(LIMIT_S), beat_every_s=BEAT_EVERY_S)
    await env.foundation.admin.create(DEVICE.plural, env.namespace, device_body("ghost", 0))
    await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("off")
    env.step("action", "the operator is killed and started again")
    kill = restart_of(env, operator, LIMIT_S)
    await env.strike(kill)
    await start_again(env, kill)
    await env.wait_quiet(LIMIT_S + A_TICK_S, deadline_s=SETTLE_S)
    await env.mark("on")

    env.step("assert", "pending it was and pending it is")
    require_pass(
        await env.judge(
            *ALWAYS,
            converged_in_time("off", CONVERGE_S),
            no_writes("off", "on"),
            no_patches("off", "on"),
            status_unchanged("off", "on"),
        )
    )


async def fail(devices: ScriptedDevices, names: Sequence[str]) -> None:
    """Whatever these devices run fails."""
    async with asyncio.TaskGroup() as group:
        for pair in [pair for pair in devices.desired if pair.device in names]:
            group.create_task(devices.report(pair, Phase.FAILED, "disk full"))
