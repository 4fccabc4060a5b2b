"""Family: the operator dies and comes back, and all that it finds is what it once asked for. Shape 2."""

import signal
from dataclasses import dataclass
from typing import Literal

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.flow import patches_match_status_changes
from harness.checks.judge import Check
from harness.checks.latch import latch_never_early
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.reported import pending_without_report, succeeded_only_reported
from harness.checks.status import status_true
from harness.checks.writes import no_patches, no_writes, status_unchanged, wanted_keys_present
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.bucket_loss import BucketsDeleted
from harness.faults.fault import Fault
from harness.faults.kill import Kill
from harness.faults.reports_gone import ReportsGone
from harness.services.operator import OperatorProcess
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    create,
    start_again,
    start_settled,
    wait_status_true,
)
from scenarios.worlds.looking import wait_right

SIZE = Size(8, 8)
PAIRS_EACH = 2


@dataclass(frozen=True, slots=True)
class SeedOnly:
    """How many of the eight devices have no device-state, how it went, and whether they come back.

    `never`: no device was ever there. `purged`: their keys were. `deleted`: the bucket was, with all it held.
    """

    how: Literal["never", "purged", "deleted"]
    devices: int = SIZE.devices
    by: signal.Signals = signal.SIGKILL
    back: bool = False

    @property
    def names(self) -> list[str]:
        return SIZE.device_names[: self.devices]


@cases(
    "desired-seed-only",
    {
        "never-reported": SeedOnly("never"),
        "never-reported-sigterm": SeedOnly("never", by=signal.SIGTERM),
        "never-reported-come": SeedOnly("never", back=True),
        "purged-all": SeedOnly("purged"),
        "purged-all-come-back": SeedOnly("purged", back=True),
        "purged-half": SeedOnly("purged", devices=4),
        "purged-half-come-back": SeedOnly("purged", devices=4, back=True),
        "purged-one": SeedOnly("purged", devices=1, back=True),
        "bucket-deleted": SeedOnly("deleted", by=signal.SIGTERM),
        "bucket-deleted-come-back": SeedOnly("deleted", back=True),
    },
)
async def test_desired_seed_only(env: Environment, case: SeedOnly) -> None:
    """A device that has not reported is pending, whatever the bucket says that it should run.

    SETUP   8 devices and 8 deployments; desired-state is full; device-state is empty, or of some devices
    ACTION  end the operator (and take away what these devices had reported), start it again; let them come back
    ASSERT  matched = pending = N; succeeded is never above what was reported; 0 desired-state writes; each status that
            changes is patched once; the devices that come back count as succeeded
    """
    operator, devices = await seeded(env, case)
    kill = Kill(operator, env.start_operator, case.by)
    await env.strike(kill)
    losses = await lose_reports(env, devices, case)
    await env.mark("restart")
    await start_again(env, kill)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("seeded")

    if case.back:
        env.step("action", f"{case.devices} devices report")
        if devices is None:
            devices = await env.start_devices(SIZE.device_names)
            await devices.wait_ready()
        else:
            await devices.rejoin(case.names)
        with still_judged():
            await wait_status_true(env, SETTLE_S)
        for loss in losses:
            await env.mend(loss)

    env.step("assert", "who has not reported is pending, and nothing was written for it")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        converged_in_time("restart", CONVERGE_S),
        latch_never_early,
        succeeded_only_reported("restart"),
        pending_without_report("seeded", case.devices * PAIRS_EACH),
        no_writes("restart", "seeded"),
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
    ]
    if case.how == "never":
        checks += [no_patches("restart", "seeded"), status_unchanged("restart", "seeded")]
    else:
        checks.append(patches_match_status_changes("restart", "seeded"))
    if case.how != "deleted":
        checks.append(buckets_kept)
    require_pass(await env.judge(*checks))


async def seeded(env: Environment, case: SeedOnly) -> tuple[OperatorProcess, ScriptedDevices | None]:
    """A world whose desired-state is full, and its devices if there ever were any."""
    if case.how != "never":
        return await start_settled(env, SIZE)
    env.step("setup", f"{SIZE.devices} devices and {SIZE.deployments} deployments as resources, and no device")
    await create(env, SIZE)
    operator = await env.start_operator()
    await operator.wait_converged(CONVERGE_S)
    await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    return operator, None


async def lose_reports(env: Environment, devices: ScriptedDevices | None, case: SeedOnly) -> list[Fault]:
    """These devices are wiped, and what they had reported is gone."""
    if devices is None:
        return []
    env.step("action", f"{case.devices} devices are wiped; their device-state is {case.how}")
    pairs = [pair for pair in sorted(devices.reported) if pair.device in case.names]
    await devices.forget(case.names)
    js = env.witnesses.buckets.client.jetstream()
    losses: list[Fault] = [ReportsGone(js, pairs, env.recorder)]
    if case.how == "deleted":
        losses.append(BucketsDeleted(js, [Bucket.DEVICE_STATE]))
    for loss in losses:
        await env.strike(loss)
    return losses
