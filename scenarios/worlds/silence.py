"""What cases about silent devices set up alike: quick beats, a short limit, devices that lose their power."""

import asyncio
from collections.abc import Sequence

from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.judge import Check
from harness.checks.life import faults_bit, no_unexpected_exit, operator_worked
from harness.checks.silence import STALE_AFTER
from harness.checks.staleness import stale_justified
from harness.checks.status import status_true
from harness.checks.writes import wanted_keys_present
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.kill import Kill
from harness.faults.power_off import PowerOff
from harness.services.operator import OperatorProcess
from harness.wait import wait_for
from scenarios.worlds.fleet import Size, create, start_created

BEAT_EVERY_S = 0.25
# A status that is about to go wrong does so at the next tick.
A_TICK_S = 1.2

ALWAYS: tuple[Check, ...] = (
    operator_worked,
    faults_bit,
    no_unexpected_exit,
    stale_justified,
    status_true,
    wanted_keys_present,
    buckets_honour_contract,
    buckets_kept,
)


def limit(seconds: float) -> dict[str, str]:
    return {STALE_AFTER: f"{seconds:g}"}


async def settled(env: Environment, size: Size, limit_s: float) -> tuple[OperatorProcess, ScriptedDevices]:
    env.step("setup", f"{size.devices} devices, {size.deployments} deployments; silence is judged after {limit_s:g} s")
    await create(env, size)
    return await start_created(env, size, settings=limit(limit_s), beat_every_s=BEAT_EVERY_S)


def restart_of(env: Environment, operator: OperatorProcess, limit_s: float) -> Kill:
    return Kill(operator, lambda: env.start_operator(limit(limit_s)))


def power_off(env: Environment, devices: ScriptedDevices, names: Sequence[str]) -> PowerOff:
    """Proved on the witness's connection, which no fault touches."""
    js = env.witnesses.buckets.client.jetstream()
    return PowerOff(js, devices, names, beat_every_s=BEAT_EVERY_S)


async def passed_s(seconds: float) -> None:
    """Silence cannot be had any sooner."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + seconds
    await wait_for(f"{seconds:g} s to pass", lambda: True if loop.time() > ends_at else None, deadline_s=seconds + 1.0)
