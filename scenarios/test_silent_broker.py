"""Family: what changes while no operator is there. Shape 3 once more: nobody reaches the broker."""

from collections.abc import Sequence
from dataclasses import dataclass

from harness.checks.judge import Check
from harness.checks.staleness import cuts_outlast_limit, stale_told
from harness.checks.writes import no_patches, no_writes, status_unchanged
from harness.env import Environment
from harness.faults.cut import Cut
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.fleet import CONVERGE_S, QUIET_S, SETTLE_S, Size, start_again
from scenarios.worlds.looking import wait_right
from scenarios.worlds.silence import A_TICK_S, ALWAYS, passed_s, power_off, restart_of, settled

SIZE = Size(8, 4)


@dataclass(frozen=True, slots=True)
class Dark:
    """Nobody reaches the broker for longer than the limit. When it is back, devices that are `off` have no power.

    They are off from the beginning, and for good; with `back_soon` they lose it only then, and for a few seconds.
    The limit has to be longer than it takes the operator to be back and tick, and the devices after it.
    """

    off: Sequence[int] = ()
    back_soon: bool = False
    operator_restarted: bool = False
    limit_s: float = 6.0


@cases(
    "device-offline",
    {
        # Connections of an operator that lived through it come back one after the other, with growing pauses.
        "broker-away": Dark(limit_s=8.0),
        "broker-away-operator-restarted": Dark(operator_restarted=True),
        "broker-away-one-back-later": Dark([0], back_soon=True, operator_restarted=True, limit_s=8.0),
        "broker-away-one-off": Dark([0], operator_restarted=True),
    },
)
async def test_broker_away(env: Environment, case: Dark) -> None:
    """Silence of the broker is no silence of the devices.

    SETUP   8 devices and 4 deployments, all running; silence is judged after a few seconds
    ACTION  nobody reaches the broker for longer than that; then the operator does, and a moment later the devices do,
            or all but one
    ASSERT  no device is stale but the one that does not beat again, and that one is
    """
    names = [SIZE.device_names[i] for i in case.off]
    operator, devices = await settled(env, SIZE, case.limit_s)
    power = power_off(env, devices, names)
    cuts = Cut(env.links.operator_nats), Cut(env.links.devices_nats)
    await env.mark("dark")
    env.step("action", f"neither operator nor devices reach the broker for {case.limit_s:g} s")
    for cut in cuts:
        await env.strike(cut)
    if names and not case.back_soon:
        await env.strike(power)
    await passed_s(case.limit_s)
    if case.operator_restarted:
        kill = restart_of(env, operator, case.limit_s)
        await env.strike(kill)
        await env.mend(cuts[0])
        operator = await start_again(env, kill)
    else:
        await env.mend(cuts[0])
    with still_judged():
        await operator.wait_converged(CONVERGE_S)
    await env.wait_quiet(A_TICK_S, deadline_s=2 * A_TICK_S)
    if case.back_soon:
        await env.strike(power)
    env.step("action", "the devices reach it again")
    await env.mend(cuts[1])
    if case.back_soon:
        await env.wait_quiet(2 * A_TICK_S, deadline_s=3 * A_TICK_S)
        await env.mend(power)
    with still_judged():
        await wait_right(env, silent=() if case.back_soon else names)
    await env.wait_quiet(QUIET_S, deadline_s=SETTLE_S)
    await env.mark("light")

    checks: list[Check] = [*ALWAYS, cuts_outlast_limit, no_writes("dark", "light")]
    if names and not case.back_soon:
        await env.wait_quiet(A_TICK_S, deadline_s=SETTLE_S)
        await env.mark("still-off")
        await env.mend(power)
        with still_judged():
            await wait_right(env)
        checks.append(stale_told("light", "still-off"))
    else:
        checks += [no_patches("dark", "light"), status_unchanged("dark", "light")]
    env.step("assert", "only who does not beat is stale")
    require_pass(await env.judge(*checks))
