"""Family: what goes on while the operator rebuilds its view. Shape 14: devices that never stop reporting."""

from dataclasses import dataclass

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept
from harness.checks.event_time import event_time_wins
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, load_sustained, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.devices.load import Order, WriteLoad
from harness.devices.writing import PUT_STATE
from harness.env import Environment
from harness.faults.kill import Kill
from harness.history import Op, Record
from harness.triggers import Trigger, recovery_progress
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import (
    CONVERGE_S,
    QUIET_S,
    SETTLE_S,
    Size,
    create,
    start_again,
    start_created,
    wait_status_true,
)

# What the machine that runs this can do beside; far fewer would be no load.
SUSTAINED_SHARE = 0.5
# Several times what it takes; a defective operator is waited for as long.
TRUE_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """`rate_per_s` reports in all. `restarts`: the second kill comes in the middle of the first one's replay."""

    size: Size
    rate_per_s: float
    order: Order
    restarts: int = 1
    beat_every_s: float = 1.0


@cases(
    "write-load-during-rebuild",
    {
        "100-in-order": Load(Size(100, 4), 300, "in order"),
        "100-disordered": Load(Size(100, 4), 300, "disordered"),
        "100-same-times": Load(Size(100, 4), 300, "same times"),
        "100-disordered-twice": Load(Size(100, 4), 300, "disordered", restarts=2),
        "100-disordered-beating": Load(Size(100, 4), 200, "disordered", beat_every_s=0.2),
        "300-disordered": Load(Size(300, 4), 400, "disordered"),
    },
)
async def test_write_load_during_rebuild(env: Environment, case: Load) -> None:
    """An operator that rebuilds under hundreds of reports a second is back in time, and the last event wins.

    SETUP   100 or 300 devices with one deployment each, all running
    ACTION  the devices report all the time, in order of their events or not; kill the operator, start it again;
            after the load each device tells of one more event that is not its newest
    ASSERT  Converged in time under the load; every status is right, before and after the late reports
    """
    env.step("setup", f"{case.size.devices} devices, {case.size.deployments} deployments, all of them running")
    await create(env, case.size)
    operator, devices = await start_created(env, case.size, beat_every_s=case.beat_every_s)
    load = WriteLoad(devices, case.rate_per_s, order=case.order)
    env.step("action", f"{case.rate_per_s:g} reports a second, {case.order}; kill the operator under them")
    await env.mark("load")
    load.start()
    try:
        await reported(env, case).fired(SETTLE_S)
        await env.mark("restart")
        for number in range(case.restarts):
            kill = Kill(operator, env.start_operator)
            await env.strike(kill)
            if number + 1 < case.restarts:
                begun = recovery_progress(env.recorder, f"operator-{number + 2}", Bucket.DEVICE_STATE, 1)
                await env.mend(kill)
                await begun.fired(SETTLE_S)
                operator = kill.successor or operator
            else:
                await start_again(env, kill)
        # What was stored while nobody followed is history; from here on the operator has seen each order itself.
        await reported(env, case).fired(SETTLE_S)
        await env.mark("load-end")
        await load.stop()
    finally:
        await load.close()
    with still_judged():
        await wait_status_true(env, TRUE_WITHIN_S)
    await env.mark("late")
    if case.order != "in order":
        env.step("action", f"each device tells of one more event, {case.order}")
        await load.tell_late()
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("settled")

    env.step("assert", "back in time, and every status is that of the last events")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        load_sustained("sigkill", case.rate_per_s * SUSTAINED_SHARE, start="load", end="load-end"),
        no_unexpected_exit,
        converged_in_time("restart", CONVERGE_S),
        no_writes("load", "settled"),
        wanted_keys_present,
        status_true,
        buckets_honour_contract,
        buckets_kept,
    ]
    if case.order != "in order":
        checks.append(event_time_wins("late", "settled"))
    require_pass(await env.judge(*checks))


def reported(env: Environment, case: Load) -> Trigger:
    """Once every pair has reported twice from now on, on the average."""

    def matches(record: Record) -> bool:
        return isinstance(record, Op) and record.action == PUT_STATE and record.outcome == "ok"

    return Trigger(env.recorder, "report acknowledged", 2 * case.size.devices, matches)
