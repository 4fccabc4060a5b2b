"""Family: the operator dies and comes back. Shapes 1 and 20."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from fleet.wire import Phase
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.gate import step_reached
from harness.checks.latch import latch_never_early
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true, status_true_soon
from harness.checks.sweep import sweep_covers_tick
from harness.checks.writes import (
    exactly_one_write_each,
    no_patches,
    no_writes,
    status_unchanged,
    wanted_keys_present,
)
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults import out_of_memory, syscall
from harness.faults.bandwidth import Bandwidth
from harness.faults.fault import Fault
from harness.faults.kill import Kill
from harness.faults.latency import Latency
from harness.faults.out_of_memory import OutOfMemory
from harness.faults.slicer import Slicer
from harness.faults.syscall import KillAtCall
from harness.services.gate import Rule
from harness.services.operator import OperatorProcess
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    edit_image,
    start_again,
    start_settled,
    wait_status_true,
)
from scenarios.worlds.looking import wait_right

SIZE = Size(8, 4)
Death = Literal["sigkill", "sigterm", "out-of-memory", "at-call"]
STATUS_PATCH = Rule("status-patch", "PATCH", r"/deployments/[^/]+/status$")
TICK_S = 1.0
# What a tick's own requests and the witness's watch may add.
TICK_GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class Restart:
    """`slow` is what is wrong with the link to the broker during the restart."""

    size: Size = SIZE
    by: Death = "sigkill"
    restarts: int = 1
    slow: Literal["latency", "bandwidth", "slicer"] | None = None


COLD_RESTARTS: Mapping[str, Restart] = {
    "8x4-sigkill": Restart(),
    "8x4-sigterm": Restart(by="sigterm"),
    "8x4-twice": Restart(restarts=2),
    # The Kubernetes sources are current more than a tick before the buckets are.
    "8x4-slow-broker": Restart(slow="latency"),
    "8x4-slow-broker-sigterm": Restart(by="sigterm", slow="latency"),
    "8x4-narrow-broker": Restart(slow="bandwidth"),
    "8x4-sliced-broker": Restart(slow="slicer"),
    "12x8-dotted": Restart(Size(12, 8, dotted=True)),
    "100x12-sigkill": Restart(Size(100, 12)),
}


@cases("cold-restart-full-kv", COLD_RESTARTS)
async def test_cold_restart_full_kv(env: Environment, case: Restart) -> None:
    """A restart in an unchanged world costs nothing, and the next edit costs exactly what it concerns.

    SETUP   devices and deployments, all running, every status true, nothing left to write
    ACTION  end the operator and start it again; then edit one deployment
    ASSERT  Converged with 0 desired-state writes and 0 status patches, status bytes the same;
            the edit gives one write per device it concerns
    """
    await cold_restart(env, case)


@pytest.mark.needs(out_of_memory.CAPABILITY)
@cases("cold-restart-full-kv", {"8x4-out-of-memory": Restart(by="out-of-memory")})
async def test_cold_restart_after_out_of_memory(env: Environment, case: Restart) -> None:
    """As above; the kernel kills the operator for want of memory."""
    await cold_restart(env, case)


async def cold_restart(env: Environment, case: Restart) -> None:
    """Its steps, and its checks."""
    operator, _ = await start_settled(env, case.size)
    edited = case.size.deployment_names[0]

    await env.mark("restart")
    link = env.links.operator_nats
    slow: Fault | None = None
    match case.slow:
        case "latency":
            slow = Latency(link, 400)
        case "bandwidth":
            slow = Bandwidth(link, rate_kb_s=10)
        case "slicer":
            slow = Slicer(link, size_bytes=100, pause_us=500)
    if slow is not None:
        await env.strike(slow)
    for number in range(case.restarts):
        env.step("action", f"{case.by} to the operator, start it again ({number + 1} of {case.restarts})")
        kill = death(env, operator, case.by)
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
            latch_never_early,
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
    by: Death = "sigkill"
    changes_while_down: bool = False


@cases(
    "killed-mid-tick",
    {
        # As many as a clean tick makes, which each case looks at first.
        **{f"k{k}": MidTick(k) for k in range(1, SIZE.deployments + 1)},
        "k2-changed-while-down": MidTick(2, changes_while_down=True),
        "k3-sigterm": MidTick(3, by="sigterm"),
    },
)
async def test_killed_mid_tick(env: Environment, case: MidTick) -> None:
    """Whichever patch of a tick the operator dies before, the next operator's first tick makes every status true.

    SETUP   8 devices and 4 deployments; every device reports a failure at once: a clean tick shows how many patches
            it makes; the k-th status patch is to be held before the API server
    ACTION  every device recovers at once; kill the operator while the k-th patch is held; drop it; start again
    ASSERT  the k-th patch was reached; status is true within a tick of convergence
    """
    await mid_tick(env, case)


@pytest.mark.needs(out_of_memory.CAPABILITY)
@cases("killed-mid-tick", {"k2-out-of-memory": MidTick(2, by="out-of-memory")})
async def test_out_of_memory_mid_tick(env: Environment, case: MidTick) -> None:
    """As above; the kernel kills the operator for want of memory."""
    await mid_tick(env, case)


@pytest.mark.needs(syscall.CAPABILITY)
@cases("killed-mid-tick", {"k1-at-call": MidTick(1, by="at-call"), "k4-at-call": MidTick(4, by="at-call")})
async def test_killed_at_a_call_mid_tick(env: Environment, case: MidTick) -> None:
    """As above; the operator dies at one of its system calls, while the k-th patch waits for its answer."""
    await mid_tick(env, case)


async def mid_tick(env: Environment, case: MidTick) -> None:
    """Its steps, and its checks."""
    operator, devices = await start_settled(env, SIZE)
    await env.mark("clean")
    await all_report(devices, Phase.FAILED)
    await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("clean-settled")
    env.gate.arm(STATUS_PATCH)
    held = env.gate.hold(STATUS_PATCH, case.k)

    env.step("action", f"all devices recover at once; {case.by} before status patch {case.k} reaches the API server")
    await all_report(devices, Phase.RUNNING)
    await held.reached(SETTLE_S)
    await env.mark("restart")
    kill = death(env, operator, case.by)
    await env.strike(kill)
    held.drop()
    env.gate.disarm(STATUS_PATCH)
    if case.changes_while_down:
        env.step("action", "while no operator is there, half of the devices fail again")
        await all_report(devices, Phase.FAILED, every=2)
    await start_again(env, kill)
    with still_judged():
        await wait_right(env)
    await env.mark("settled")

    env.step("assert", "every status is true within a tick of convergence")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            sweep_covers_tick("clean", "clean-settled", SIZE.deployments),
            step_reached(STATUS_PATCH.name, case.k),
            no_unexpected_exit,
            converged_in_time("restart", CONVERGE_S),
            latch_never_early,
            status_true_soon("restart", TICK_S + TICK_GRACE_S),
            status_true,
            wanted_keys_present,
            buckets_honour_contract,
            buckets_kept,
        )
    )


async def all_report(devices: ScriptedDevices, phase: Phase, *, every: int = 1) -> None:
    """At once, so that one tick is to tell of all of them."""
    error = "disk full" if phase is Phase.FAILED else None
    async with asyncio.TaskGroup() as group:
        for pair in sorted(devices.desired)[::every]:
            group.create_task(devices.report(pair, phase, error))


def death(env: Environment, operator: OperatorProcess, by: Death) -> Kill:
    warden = env.foundation.warden
    match by:
        case "sigkill":
            return Kill(operator, env.start_operator)
        case "sigterm":
            return Kill(operator, env.start_operator, signal.SIGTERM)
        case "out-of-memory":
            return OutOfMemory(operator, env.start_operator, warden)
        case "at-call":
            return KillAtCall(operator, "sendto", 1, restart=env.start_operator, warden=warden)
