"""Family: the operator dies and comes back. Shapes 1 and 20."""

import asyncio
import signal
from dataclasses import dataclass

from fleet.wire import Phase
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.gate import step_reached
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true, status_true_soon
from harness.checks.writes import (
    exactly_one_write_each,
    no_patches,
    no_writes,
    status_unchanged,
    wanted_keys_present,
)
from harness.env import Environment
from harness.faults.kill import Kill
from harness.faults.latency import Latency
from harness.services.gate import Rule
from scenarios.cases import cases, require_pass, still_judged
from scenarios.fleet_world import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    edit_image,
    start_again,
    start_settled,
    wait_status_true,
)

STATUS_PATCH = Rule("status-patch", "PATCH", r"/deployments/[^/]+/status$")
TICK_S = 1.0
# What a tick's own requests and the witness's watch may add.
TICK_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Restart:
    size: Size
    by: signal.Signals = signal.SIGKILL
    restarts: int = 1
    broker_latency_ms: int = 0


@cases(
    "cold-restart-full-kv",
    {
        "8x4-sigkill": Restart(Size(8, 4)),
        "8x4-sigterm": Restart(Size(8, 4), by=signal.SIGTERM),
        "8x4-twice": Restart(Size(8, 4), restarts=2),
        # The Kubernetes sources are current more than a tick before the buckets are.
        "8x4-slow-broker": Restart(Size(8, 4), broker_latency_ms=400),
        "12x8-dotted": Restart(Size(12, 8, dotted=True)),
        "100x12-sigkill": Restart(Size(100, 12)),
    },
)
async def test_cold_restart_full_kv(env: Environment, case: Restart) -> None:
    """A restart in an unchanged world costs nothing, and the next edit costs exactly what it concerns.

    SETUP   devices and deployments, all running, every status true, nothing left to write
    ACTION  end the operator and start it again; then edit one deployment
    ASSERT  Converged with 0 desired-state writes and 0 status patches, status bytes the same;
            the edit gives one write per device it concerns
    """
    operator, _ = await start_settled(env, case.size)
    edited = case.size.deployment_names[0]

    await env.mark("restart")
    slow = Latency(env.links.operator_nats, case.broker_latency_ms) if case.broker_latency_ms else None
    if slow is not None:
        await env.strike(slow)
    for number in range(case.restarts):
        env.step("action", f"{case.by.name} to the operator, start it again ({number + 1} of {case.restarts})")
        kill = Kill(operator, env.start_operator, case.by)
        await env.strike(kill)
        operator = await start_again(env, kill)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    if slow is not None:
        await env.mend(slow)
    await env.mark("settled")

    env.step("action", f"edit the image of {edited}, which concerns {case.size.selected(0)} devices")
    await env.mark("edit")
    await edit_image(env, edited, "registry.example/app:2")
    with still_judged():
        await wait_status_true(env, SETTLE_S)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("edit-settled")

    env.step("assert", "no write and no patch by the restart, exactly one write per device by the edit")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            converged_in_time("restart", CONVERGE_S),
            no_writes("restart", "settled"),
            no_patches("restart", "settled"),
            status_unchanged("restart", "settled"),
            exactly_one_write_each("edit", "edit-settled", edited, case.size.selected(0)),
            wanted_keys_present,
            status_true,
            buckets_honour_contract,
            buckets_kept,
        )
    )


@dataclass(frozen=True, slots=True)
class MidTick:
    k: int
    changes_while_down: bool = False


@cases(
    "killed-mid-tick",
    {
        "k1": MidTick(1),
        "k2": MidTick(2),
        "k3": MidTick(3),
        "k4": MidTick(4),
        "k2-changed-while-down": MidTick(2, changes_while_down=True),
    },
)
async def test_killed_mid_tick(env: Environment, case: MidTick) -> None:
    """Whichever patch of a tick the operator dies before, the next operator's first tick makes every status true.

    SETUP   8 devices and 4 deployments, all running; the k-th status patch is to be held before the API server
    ACTION  every device reports a failure at once; SIGKILL while the k-th patch is held; drop it; start again
    ASSERT  the k-th patch was reached; status is true within a tick of convergence
    """
    operator, devices = await start_settled(env, Size(8, 4))
    env.gate.arm(STATUS_PATCH)
    held = env.gate.hold(STATUS_PATCH, case.k)

    env.step("action", f"all devices fail at once; SIGKILL before status patch {case.k} reaches the API server")
    async with asyncio.TaskGroup() as group:
        for pair in sorted(devices.desired):
            group.create_task(devices.report(pair, Phase.FAILED, "disk full"))
    await held.reached(SETTLE_S)
    await env.mark("restart")
    kill = Kill(operator, env.start_operator)
    await env.strike(kill)
    held.drop()
    env.gate.disarm(STATUS_PATCH)
    if case.changes_while_down:
        env.step("action", "while no operator is there, half of the devices recover")
        async with asyncio.TaskGroup() as group:
            for pair in sorted(devices.desired)[::2]:
                group.create_task(devices.report(pair, Phase.RUNNING))
    await start_again(env, kill)
    with still_judged():
        await wait_status_true(env, SETTLE_S)
    await env.mark("settled")

    env.step("assert", "every status is true within a tick of convergence")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            step_reached(STATUS_PATCH.name, case.k),
            no_unexpected_exit,
            converged_in_time("restart", CONVERGE_S),
            status_true_soon("restart", TICK_S + TICK_GRACE_S),
            status_true,
            wanted_keys_present,
            buckets_honour_contract,
            buckets_kept,
        )
    )
