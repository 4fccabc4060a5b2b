"""Family: an agent rolls a deployment forward and is killed on the way. Shape R6."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from fleet.wire import Phase
from harness.checks.containers import never_two_running, runs_as_desired, untouched
from harness.checks.judge import Check
from harness.checks.kept_running import kept_running
from harness.checks.killed_rolls import ends_as_clean, kills_reached, started_once
from harness.checks.life import faults_bit
from harness.checks.one_agent import one_acts
from harness.checks.reporting import agent_worked, ids_reported, no_agent_exit, reported
from harness.env import Environment
from harness.faults import syscall
from harness.faults.agent_kill import KillAgent
from harness.faults.step_kill import KillBeforeStep
from harness.history import ContainerEvent, Record
from harness.services.process import ManagedProcess
from harness.triggers import Trigger
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.rolls import (
    DEVICE,
    ROLLED,
    SETTINGS,
    SETTLE_S,
    STILL,
    STILL_SLOT,
    Rolls,
    aimed,
    clean_roll,
    killed_once,
    killed_roll,
)

NEEDS = ("podman", syscall.CAPABILITY)
FILE = "deployments/.web.desired.tmp"
REPORT = "deployments/.web.report.tmp"
STATE = "$KV.device-state.state.edge-1.web"
WAITS_WITHIN_S = 10.0
QUICK = {"FLEET_TICK_S": "1", "FLEET_HEARTBEAT_S": "0.3"}

CHECKS: Sequence[Check] = (
    agent_worked,
    no_agent_exit,
    never_two_running,
    runs_as_desired(DEVICE),
    ids_reported(DEVICE),
    reported(DEVICE, ROLLED, Phase.RUNNING),
    reported(DEVICE, STILL, Phase.RUNNING),
    ends_as_clean,
    started_once,
    untouched("first", "last", (STILL_SLOT,)),
)


@dataclass(frozen=True, slots=True)
class Steps:
    """One roll for each; the agent is killed before that system call."""

    steps: tuple[str, ...]
    needs: tuple[str, ...] = NEEDS


def sent(request: str, number: int = 1) -> str:
    return f"sendto podman {request} #{number}"


def answered(request: str, number: int = 1) -> str:
    """Podman has begun to do it."""
    return f"recvfrom podman {request} #{number}"


PULL, CREATE, START = "POST images/pull", "POST containers/create", "POST containers/ID/start"
STOP, REMOVE = "POST containers/ID/stop", "DELETE containers/ID"
STEPS: Mapping[str, Steps] = {
    "order-kept": Steps((f"openat {FILE} #1", f"fsync {FILE} #1", f"rename {FILE} #1", "fsync deployments #1")),
    "created": Steps((sent(PULL), sent(CREATE), answered(CREATE), sent(CREATE, 2))),
    "stopped": Steps((sent(STOP), answered(STOP), sent(STOP, 2), answered(STOP, 2))),
    "started": Steps((sent(START), answered(START), sent(START, 2), answered(START, 2))),
    "removed": Steps((sent(REMOVE), answered(REMOVE), sent(REMOVE, 2), answered(REMOVE, 2))),
    "report-kept": Steps((f"write {REPORT} #1", f"fsync {REPORT} #2", f"rename {REPORT} #3", "fsync deployments #4")),
    "report-told": Steps(tuple(f"sendto nats HPUB {STATE} #{number}" for number in (1, 2, 3))),
}


@cases("killed-mid-roll", STEPS)
async def test_killed_before_a_step(env: Environment, case: Steps) -> None:
    """Whichever step of a roll the agent dies before, the next agent ends where a clean roll does.

    SETUP   two deployments run; one is rolled forward and nobody disturbs it
    ACTION  for each step: roll forward again, SIGKILL before that system call, start the next agent
    ASSERT  each roll ends as the clean one; no service ran twice; nothing healthy was touched
    """
    rolls = await begin(env)
    for step in case.steps:
        env.step("action", f"roll forward, SIGKILL to the agent before {step}, start the next one")
        await killed_once(rolls, step)
        if not rolls.settled():
            break
    await finish(env, kills_reached)


@dataclass(frozen=True, slots=True)
class Events:
    """One roll for each; the agent is killed when podman tells of it, of whichever container it is first."""

    events: tuple[str, ...]
    needs: tuple[str, ...] = NEEDS


@cases("killed-mid-roll", {"at-events": Events(("create", "died", "start", "remove"))})
async def test_killed_at_an_event(env: Environment, case: Events) -> None:
    """As above; the agent is killed as soon as podman tells of a creation, an end, a start, a removal.

    SETUP   two deployments run; one is rolled forward and nobody disturbs it
    ACTION  for each event: roll forward again, SIGKILL to the agent at that event, start the next agent
    ASSERT  each roll ends as the clean one; no service ran twice; nothing healthy was touched
    """
    rolls = await begin(env)
    for event in case.events:
        env.step("action", f"roll forward, SIGKILL to the agent at podman's {event}, start the next one")
        await rolls.rest()
        when = f"at {event} of a container"
        async with aimed(rolls, when):
            seen = Trigger(env.recorder, f"container {event}", 1, of(event))
            await rolls.put_next()
            with still_judged():
                await seen.fired(SETTLE_S)
            kill = KillAgent(rolls.device.agent, rolls.start_agent, when=when)
            await env.strike(kill)
            await env.mend(kill)
    await finish(env, kills_reached, faults_bit)


@dataclass(frozen=True, slots=True)
class Twice:
    """The agent is killed before `step`, and the next one, counted from its own start, before `again`."""

    step: str
    again: str
    needs: tuple[str, ...] = NEEDS


@cases(
    "killed-mid-roll",
    {
        "twice-before-stop": Twice(f"rename {REPORT} #1", sent(STOP)),
        "twice-before-start": Twice(sent(START), sent(START)),
        "twice-to-the-removal": Twice(answered(STOP), sent(REMOVE)),
    },
)
async def test_killed_twice(env: Environment, case: Twice) -> None:
    """An agent that carries on after a kill and is killed itself leaves nothing that a third one could not finish.

    SETUP   two deployments run; one is rolled forward and nobody disturbs it
    ACTION  roll forward; SIGKILL before a step; SIGKILL to the next agent before a step of its own; start the third
    ASSERT  the roll ends as the clean one; no service ran twice; nothing healthy was touched
    """
    rolls = await begin(env)
    env.step("action", f"roll forward, SIGKILL before {case.step}, then to the next agent before {case.again}")

    async def start_and_kill() -> ManagedProcess:
        agent = await rolls.start_agent()
        tracer = await rolls.follow_now(kill_before=case.again)
        second = KillBeforeStep(agent, tracer, act=nothing, over=rolls.settled, restart=rolls.start_agent)
        await env.strike(second)
        await env.mend(second)
        return second.successor or agent

    await killed_roll(rolls, case.step, restart=start_and_kill)
    await finish(env, kills_reached, faults_bit)


@dataclass(frozen=True, slots=True)
class Offline:
    step: str
    needs: tuple[str, ...] = NEEDS


@cases("killed-mid-roll", {"then-without-broker": Offline(answered(START))})
async def test_next_agent_has_no_broker(env: Environment, case: Offline) -> None:
    """What an agent had begun, the next one ends by what is on the disk and in podman alone.

    SETUP   two deployments run; one is rolled forward and nobody disturbs it
    ACTION  roll forward; SIGKILL while a new container is started; the next agent has no link to the broker until all
            that is wanted runs
    ASSERT  the roll ends as the clean one, before the link is back; no new container was touched on the way
    """
    rolls = await begin(env)
    env.step("action", f"roll forward, SIGKILL before {case.step}; the next agent has no link to the broker")
    link = rolls.device.host.link
    assert link is not None

    async def start_offline() -> ManagedProcess:
        await link.cut()
        agent = await rolls.start_agent()
        with still_judged():
            await rolls.wait_only_wanted()
        await env.mark("offline-done")
        await link.mend()
        return agent

    await killed_roll(rolls, case.step, restart=start_offline)
    await finish(env, kills_reached, faults_bit, untouched("offline-done", "last"))


@cases("killed-mid-roll", {"order-half-written": Offline(f"fsync {FILE} #1")})
async def test_order_half_written(env: Environment, case: Offline) -> None:
    """A desired state that was not written to its end leaves the one before it in force, also without a broker.

    SETUP   two deployments run; one is rolled forward and nobody disturbs it
    ACTION  roll forward; SIGKILL before the new file is flushed; the next agent has no link to the broker, and a
            container of the old version is killed; then mend the link
    ASSERT  it was started again before the link was back; then the roll ends as the clean one
    """
    rolls = await begin(env)
    env.step("action", f"roll forward, SIGKILL before {case.step}; no link to the broker, and a container is killed")
    link = rolls.device.host.link
    assert link is not None

    async def start_offline() -> ManagedProcess:
        await link.cut()
        agent = await rolls.start_agent()
        await rolls.device.host.podman("kill", rolls.running[ROLLED, "main"])
        await env.settle_witnesses()
        with still_judged():
            await rolls.wait_running(ROLLED, "main")
        await env.mark("without-broker")
        await link.mend()
        return agent

    await killed_roll(rolls, case.step, restart=start_offline)
    await finish(env, kills_reached, faults_bit, kept_running("without-broker", (f"{ROLLED}/main",)))


@dataclass(frozen=True, slots=True)
class Two:
    """Who of the two agents is killed, and when."""

    who: Literal["the first", "the second"]
    step: str = ""
    needs: tuple[str, ...] = NEEDS


@cases(
    "killed-mid-roll",
    {
        "standby-takes-over": Two("the first"),
        "standby-takes-over-mid-roll": Two("the first", sent(START)),
        "standby-killed": Two("the second"),
    },
)
async def test_two_agents(env: Environment, case: Two) -> None:
    """Of two agents on one device the second waits; it takes over from a dead one, and touches nothing healthy.

    SETUP   two deployments run; a second agent is started, and waits for the device lock
    ACTION  roll forward while both are there; SIGKILL to one of them, at rest or in the middle of a roll; roll forward
    ASSERT  one of them acts at any time; each roll ends as the clean one; no service ran twice
    """
    rolls = await begin(env, QUICK)
    first, second = rolls.device.agent, await rolls.device.start_agent(QUICK)
    killed, other = (first, second) if case.who == "the first" else (second, first)
    with still_judged():
        await second.wait_log("waiting_for_device_lock|nats_connected", since=0, deadline_s=WAITS_WITHIN_S)
    await env.mark("both")
    env.step("action", f"roll forward while both are there; SIGKILL to {case.who}, {case.step or 'at rest'}")
    await clean_roll(rolls, first)
    # Who takes over may beat before anybody has seen the death: that is told by two marks, not one.
    await env.mark("both-still")

    async def carry_on() -> ManagedProcess:
        await env.mark("alone")
        with still_judged():
            await rolls.wait_next_beat()
        return other

    if case.step:
        await killed_roll(rolls, case.step, agent=killed, restart=carry_on)
    else:
        kill = KillAgent(killed, carry_on)
        await env.strike(kill)
        await env.mend(kill)
    env.step("action", "roll forward with the one that is left")
    with still_judged():
        await clean_roll(rolls, other)
    reached = [kills_reached] if case.step else []
    await finish(env, faults_bit, one_acts("both", "both-still"), one_acts("alone", "last"), *reached)


async def begin(env: Environment, settings: Mapping[str, str] = SETTINGS) -> Rolls:
    """All that is wanted runs, and one roll that nobody disturbed is what the others are measured by."""
    env.step("setup", f"two deployments run; {ROLLED} is rolled forward and nobody disturbs it")
    rolls = await Rolls.start(env, settings)
    await env.mark("first")
    await clean_roll(rolls)
    return rolls


async def finish(env: Environment, *checks: Check) -> None:
    await env.mark("last")
    env.step("assert", "each roll ended as the clean one; no service ran twice; nothing healthy was touched")
    require_pass(await env.judge(*CHECKS, *checks))


def of(event: str) -> Callable[[Record], bool]:
    """Records of that event of a container."""
    return lambda record: isinstance(record, ContainerEvent) and record.event == event


async def nothing() -> None:
    """The agent has its work already."""
