"""Family: what an agent keeps running. Shape R10: podman does not answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fleet.wire import DesiredState, Lifecycle, Phase
from harness.checks.containers import never_two_running, runs_as_desired, untouched
from harness.checks.gate import step_reached
from harness.checks.judge import Check
from harness.checks.life import faults_bit
from harness.checks.reporting import agent_worked, ids_reported, no_agent_exit, reported
from harness.checks.upkeep import nothing_concluded, podman_not_hammered, said_meanwhile
from harness.env import Environment
from harness.faults.fault import Fault
from harness.faults.podman_away import PodmanAway, PodmanSilent
from harness.history import ContainerEvent, Record
from harness.triggers import Trigger
from harness.wait import ticks
from scenarios.cases import cases, require_pass, still_judged
from scenarios.test_agent_upkeep_power import STEPS, Step
from scenarios.worlds.agent import APP, DEVICE, SETTLE_S
from scenarios.worlds.upkeep import NEEDS, V1, V2, Upkeep, full, upkeep

AWAY_S = 1.5
PER_S_MAX = 20
# An agent gives podman this long for an answer; ours 30 s.
SILENCE_WITHIN_S = 45.0


@dataclass(frozen=True, slots=True)
class Away:
    """How podman is away while all is settled. `gated`: the agent's requests are counted on their way."""

    how: Literal["stopped", "killed", "silent"]
    gated: bool = True
    long: bool = False
    needs: tuple[str, ...] = NEEDS


@cases(
    "podman-away",
    {
        "stopped": Away("stopped"),
        "socket-missing": Away("stopped", gated=False),
        "socket-refuses": Away("killed", gated=False),
        "silent": Away("silent", long=True),
    },
)
async def test_away_while_settled(env: Environment, case: Away) -> None:
    """From silence nothing is concluded: what was reported stays, with RuntimeAway; and nobody hammers.

    SETUP   a service runs
    ACTION  podman's service is stopped, killed, or takes requests and says nothing; then it is back
    ASSERT  phase and ids stay; RuntimeAway is said; few requests a second; nothing is done to the container
    """
    async with upkeep(env, gated=case.gated) as world:
        fault: Fault = away(world, case.how)
        await env.mark("settled")
        env.step("action", f"podman is {case.how}")
        await env.strike(fault)
        with still_judged():
            deadline_s = SILENCE_WITHIN_S if case.how == "silent" else SETTLE_S
            await world.wait_reason("RuntimeAway", deadline_s=deadline_s)
        await watch(AWAY_S)
        await env.mark("still-away")
        await env.mend(fault)
        with still_judged():
            await world.wait_healthy()
        await env.mark("end")
        env.step("assert", "nothing was concluded, and nothing done")
        await judged(
            env,
            said_meanwhile(DEVICE, APP, "RuntimeAway", "settled", "still-away"),
            nothing_concluded(DEVICE, APP, "settled", "end"),
            *([podman_not_hammered("settled", "still-away", PER_S_MAX)] if case.gated else []),
            untouched("settled", "end"),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@dataclass(frozen=True, slots=True)
class AtStart:
    needs: tuple[str, ...] = NEEDS


@cases("podman-away", {"at-start": AtStart()})
async def test_away_at_the_start(env: Environment, case: AtStart) -> None:  # noqa: ARG001 - `cases` hands it over
    """An agent that starts without podman waits for it, says so, and then finds all as it was.

    SETUP   a service runs; the agent is killed, podman stopped
    ACTION  start the agent; then podman is back
    ASSERT  RuntimeAway is said, phase and ids stay; nothing is done to the container
    """
    async with upkeep(env) as world:
        device = world.fleet.device
        await env.mark("settled")
        env.step("action", "the agent starts without podman")
        await device.agent.kill()
        fault = PodmanAway(device.host)
        await env.strike(fault)
        await world.start_agent()
        with still_judged():
            await world.wait_reason("RuntimeAway")
        await watch(AWAY_S)
        await env.mark("still-away")
        await env.mend(fault)
        with still_judged():
            await world.wait_healthy()
        await env.mark("end")
        env.step("assert", "nothing was concluded, and nothing done")
        await judged(
            env,
            said_meanwhile(DEVICE, APP, "RuntimeAway", "settled", "still-away"),
            nothing_concluded(DEVICE, APP, "settled", "end"),
            podman_not_hammered("settled", "still-away", PER_S_MAX),
            untouched("settled", "end"),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@dataclass(frozen=True, slots=True)
class MidRoll:
    """The request of the agent that does not reach podman any more."""

    before: Step
    needs: tuple[str, ...] = NEEDS


@cases("podman-away", {"before-stop": MidRoll("stop"), "before-start": MidRoll("start")})
async def test_away_in_a_roll(env: Environment, case: MidRoll) -> None:
    """A roll goes on where it stood once podman is back.

    SETUP   v1 runs
    ACTION  order v2; stop podman before that request of the agent reaches it; start it again
    ASSERT  the step was reached; v2 runs, v1 is gone, never two at a time
    """
    async with upkeep(env) as world:
        held = world.gate.hold(STEPS[case.before])
        env.step("action", f"order v2; podman is away before its {case.before}")
        order = await world.fleet.put([full("v2")])
        await held.reached(SETTLE_S)
        fault = PodmanAway(world.fleet.device.host)
        await env.strike(fault)
        held.drop()
        with still_judged():
            await world.wait_reason("RuntimeAway")
        await env.mend(fault)
        await finished(world, order)
        await judged(env, step_reached(STEPS[case.before].name, 1), *GOES_ON)


@dataclass(frozen=True, slots=True)
class MidCall:
    """The event of a container at which podman is killed, before its answer reaches the agent."""

    call: Step
    event: str
    of: str
    needs: tuple[str, ...] = NEEDS


CALLS: Mapping[str, MidCall] = {
    "killed-in-create": MidCall("create", "create", V2),
    "killed-in-stop": MidCall("stop", "died", V1),
    "killed-in-start": MidCall("start", "init", V2),
    "killed-after-start": MidCall("start", "start", V2),
}


@cases("podman-away", CALLS)
async def test_killed_in_a_call(env: Environment, case: MidCall) -> None:
    """Podman is killed in the middle of what it was asked for: what it did of it is found by looking.

    SETUP   v1 runs
    ACTION  order v2; kill podman as soon as its own events tell of that step, before it has answered; start it again
    ASSERT  podman was killed there; v2 runs, v1 is gone, never two at a time
    """
    async with upkeep(env, lifecycle=Lifecycle("SIGTERM", 1)) as world:
        trigger = Trigger(env.recorder, f"{case.event} of {case.of}", 1, lambda r: is_event(r, case))
        world.gate.withheld = STEPS[case.call]
        env.step("action", f"order v2; podman is killed in its {case.call}")
        order = await world.fleet.put([full("v2")])
        await trigger.fired(SETTLE_S)
        fault = PodmanAway(world.fleet.device.host, "killed")
        await env.strike(fault)
        world.gate.withheld = None
        await env.mend(fault)
        await finished(world, order)
        await judged(env, *GOES_ON)


GOES_ON = (runs_as_desired(DEVICE), reported(DEVICE, APP, Phase.RUNNING), ids_reported(DEVICE))


def away(world: Upkeep, how: Literal["stopped", "killed", "silent"]) -> Fault:
    host = world.fleet.device.host
    return PodmanSilent(host, world.gate) if how == "silent" else PodmanAway(host, how)


def is_event(record: Record, case: MidCall) -> bool:
    return isinstance(record, ContainerEvent) and (record.event, record.image) == (case.event, case.of)


async def watch(for_s: float) -> None:
    """What is to be counted needs its time."""
    left = round(for_s / 0.1)
    async for _ in ticks(0.1):
        left -= 1
        if left <= 0:
            return


async def finished(world: Upkeep, order: DesiredState) -> None:
    with still_judged():
        await world.wait_healthy(order)
        await world.tell_starts()
        await world.wait_alone(V2)
    world.env.step("assert", "v2 runs, and v1 is gone")


async def judged(env: Environment, *checks: Check) -> None:
    require_pass(await env.judge(agent_worked, faults_bit, no_agent_exit, never_two_running, *checks))
