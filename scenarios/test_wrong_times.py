"""Family: what stands in the buckets and should not. Shape 11, by the clock: events of 2099, of 1971, of hours ago."""

from dataclasses import dataclass, replace
from datetime import timedelta

from fleet.wire import Bucket, Phase, state_key
from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.newest_event import newest_event_counts, status_true_at
from harness.checks.status import status_true
from harness.checks.writes import no_writes, wanted_keys_present
from harness.devices.scripted import ScriptedDevices
from harness.env import Environment
from harness.faults.clock import ClockSkew
from harness.faults.fault import Fault
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, start_settled
from scenarios.worlds.looking import wait_right
from scenarios.worlds.odd_entries import ONE, SIZE, TWIN, back_if, by_hand, failed_now, killed_if, report

HOUR_S = 3600.0
YEAR_S = 365.25 * 24 * HOUR_S


@dataclass(frozen=True, slots=True)
class Clock:
    """Off by these seconds, report by report. `planted`: one report by hand, of no device's own clock.

    `tells` names the marks at which an operator that believes every time, or none, would show something else.
    """

    offs_s: tuple[float, ...]
    tells: tuple[str, ...]
    replay: bool = False
    planted: bool = False


AHEAD, BEHIND = (73 * YEAR_S,), (-55 * YEAR_S,)


@cases(
    "malformed-device-state",
    {
        "time-2099-up": Clock(AHEAD, ("wrong", "right"), planted=True),
        "time-2099-replay": Clock(AHEAD, ("wrong", "right"), planted=True, replay=True),
        "time-1971-up": Clock(BEHIND, ("wrong",), planted=True),
        "time-1971-replay": Clock(BEHIND, (), planted=True, replay=True),
        "clock-2099-up": Clock(AHEAD, ("wrong", "right")),
        "clock-2099-replay": Clock(AHEAD, ("wrong", "right"), replay=True),
        "clock-1971-up": Clock(BEHIND, ("wrong",)),
        "clock-1971-replay": Clock(BEHIND, (), replay=True),
        "clock-hours-behind-up": Clock((-3 * HOUR_S,), ("wrong",)),
        "clock-jumping-up": Clock((5 * HOUR_S, -3 * HOUR_S), ("wrong", "right")),
    },
)
async def test_wrong_times(env: Environment, case: Clock) -> None:
    """A time that is ahead counts as that of its storing, one that is behind never replaces a newer: nothing sticks.

    SETUP   8 devices and 4 deployments, all running; or the operator is dead by now
    ACTION  a device fails by a wrong clock (or somebody writes such a report), its twin fails later by a right one;
            then the device's clock is right and it runs
    ASSERT  counts and last error follow the newest event at both times, and differ from what the wrong times say
    """
    operator, devices = await start_settled(env, SIZE)
    await env.mark("struck")
    kill = await killed_if(env, operator, down=case.replay)
    env.step("action", f"{ONE.device} fails, by a clock that is {case.offs_s[0] / HOUR_S:.0f} hours off")
    devices.policy = lambda pair, _: (Phase.FAILED, "by a wrong clock") if pair == ONE else (Phase.RUNNING, None)
    fault = wrong_report(env, devices, case.offs_s[0]) if case.planted else skew(env, devices, case.offs_s)
    await env.strike(fault)
    if len(case.offs_s) > 1:
        await devices.report(ONE, Phase.FAILED, "again")
    env.step("action", f"{TWIN.device} fails, by a clock that is right")
    await report(devices, {TWIN: Phase.FAILED})
    operator = await back_if(env, operator, kill)
    with still_judged():
        await wait_right(env)
    await env.mark("wrong")

    env.step("action", f"the clock is right, and {ONE.device} runs")
    devices.policy = lambda _, __: (Phase.RUNNING, None)
    await env.mend(fault)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("right")

    env.step("assert", "no wrong clock had the last word")
    checks: list[Check] = [
        operator_worked,
        faults_bit,
        no_unexpected_exit,
        status_true_at("wrong"),
        status_true,
        *(newest_event_counts(mark) for mark in case.tells),
        no_writes("struck", "right"),
        wanted_keys_present,
    ]
    if case.replay:
        checks.append(converged_in_time("struck", CONVERGE_S))
    require_pass(await env.judge(*checks))


def wrong_report(env: Environment, devices: ScriptedDevices, off_s: float) -> Fault:
    """A well-formed failure of `ONE`, of an event that is so far off; its device then says that it runs."""
    value = failed_now(devices.desired[ONE])
    value = replace(value, last_event_at=value.last_event_at + timedelta(seconds=off_s), last_error="by hand")

    async def run() -> None:
        await report(devices, {ONE: Phase.RUNNING})

    return by_hand(env, Bucket.DEVICE_STATE, {state_key(ONE): value.encode()}, cure=run)


def skew(env: Environment, devices: ScriptedDevices, offs_s: tuple[float, ...]) -> Fault:
    return ClockSkew(env.witnesses.buckets.client.jetstream(), devices, [ONE.device], offs_s)
