"""Family: what stands in the buckets and should not. Shape 11, where one of two operators saw what was there before."""

from dataclasses import dataclass

from fleet.wire import Bucket, Phase, state_key
from harness.checks.life import converged_in_time, faults_bit, no_unexpected_exit, operator_worked
from harness.checks.status import status_true
from harness.checks.writes import no_patches, no_writes
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, SETTLE_S, start_settled
from scenarios.worlds.looking import wait_right
from scenarios.worlds.odd_entries import ONE, SIZE, by_hand, failed_now, report
from scenarios.worlds.payloads import MALFORMED_STATE

# Two that disagree patch in turn, each a tick after the other.
QUIET_S = 2.5


@dataclass(frozen=True, slots=True)
class Overlap:
    kind: str


@cases(
    "malformed-device-state",
    {"two-operators-unknown-phase": Overlap("unknown-phase"), "two-operators-empty": Overlap("empty")},
)
async def test_two_operators_agree(env: Environment, case: Overlap) -> None:
    """A malformed report means the same to an operator that saw the good one before it, and to one that did not.

    SETUP   8 devices and 4 deployments, all running
    ACTION  a malformed value takes the place of a report; when the status is true again, a second operator starts
    ASSERT  it patches nothing and neither does the first; then a good report heals it
    """
    _, devices = await start_settled(env, SIZE)
    value = MALFORMED_STATE[case.kind](failed_now(devices.desired[ONE]).encode())

    async def report_well() -> None:
        await report(devices, {ONE: Phase.FAILED})

    fault = by_hand(env, Bucket.DEVICE_STATE, {state_key(ONE): value}, cure=report_well)
    await env.strike(fault)
    with still_judged():
        await wait_right(env)
    env.step("action", "a second operator starts, which never saw the good report")
    await env.mark("second")
    second = await env.start_operator()
    with still_judged():
        await second.wait_converged(CONVERGE_S)
    await env.wait_quiet(QUIET_S, deadline_s=3 * QUIET_S)
    await env.mark("both")
    await env.mend(fault)
    with still_judged():
        await wait_right(env)
    await env.wait_quiet(1.0, deadline_s=SETTLE_S)
    await env.mark("healed")

    env.step("assert", "two operators and one view: no patch without news")
    require_pass(
        await env.judge(
            operator_worked,
            faults_bit,
            no_unexpected_exit,
            converged_in_time("second", CONVERGE_S),
            no_patches("second", "both"),
            no_writes("second", "healed"),
            status_true,
        )
    )
