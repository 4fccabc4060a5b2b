"""Family: what an agent keeps running. Shape R7: a container ends, or somebody lays hands on it."""

from dataclasses import dataclass
from typing import Literal

from fleet.wire import Phase
from harness.checks.containers import never_two_running, runs_as_desired, untouched
from harness.checks.judge import Check
from harness.checks.replacements import crash_loop_paused, rolled_in_order
from harness.checks.reporting import agent_worked, ids_reported, no_agent_exit, reported
from harness.checks.upkeep import kept, made_again, said_meanwhile, stranger_untouched
from harness.env import Environment
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, payload
from scenarios.worlds.upkeep import NEEDS, SLOT, V1, V2, full, upkeep

LOOKS = 10
STUCK_WITHIN_S = 75.0
STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class Ended:
    """How it comes to its end, from outside of the agent."""

    by: Literal["signal", "podman-stop", "podman-rm"]
    needs: tuple[str, ...] = NEEDS


@cases(
    "container-dies",
    {"signal": Ended("signal"), "stopped-by-hand": Ended("podman-stop"), "removed-by-hand": Ended("podman-rm")},
)
async def test_container_is_ended(env: Environment, case: Ended) -> None:
    """What ended is started again under its id; what was removed is made again.

    SETUP   a service runs
    ACTION  its payload is killed, stopped or removed, past the agent
    ASSERT  it runs again: the same container, or a new one if it was removed; that it had ended was reported
    """
    async with upkeep(env) as world:
        container = (await world.container()).id
        await env.mark("settled")
        env.step("action", f"the container goes, by {case.by}")
        host = world.fleet.device.host
        match case.by:
            case "signal":
                pid = await host.podman("inspect", "--format", "{{.State.Pid}}", container)
                await world.inside("kill", "-KILL", pid)
            case "podman-stop":
                await host.podman("stop", container)
            case "podman-rm":
                await host.podman("rm", "--force", "--time=0", container)
        with still_judged():
            await world.fleet.told(Phase.FAILED, reason="Exited")
            await world.wait_healthy()
        await env.mark("end")
        env.step("assert", "it runs again, and that was told")
        removed = case.by == "podman-rm"
        await judged(
            env,
            made_again(DEVICE, "settled", "end") if removed else kept(DEVICE, "settled", "end"),
            said_meanwhile(DEVICE, APP, "Exited", "settled", "end"),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@dataclass(frozen=True, slots=True)
class Loop:
    """It ends with that code, again and again."""

    code: int
    pauses: int
    needs: tuple[str, ...] = NEEDS


@cases("container-dies", {"exits-0": Loop(0, 2), "exits-1-in-a-loop": Loop(1, 3)})
async def test_container_ends_again_and_again(env: Environment, case: Loop) -> None:
    """It is started again, each time after a longer pause; and a new version is not held up by any.

    SETUP   an agent with nothing to do
    ACTION  order a service that ends a moment after its start; then one that runs
    ASSERT  one container, started again and again after pauses that double; Failed, Exited; then the new one runs
    """
    async with upkeep(env) as world:
        await env.mark("loop")
        env.step("action", f"order a service that ends with {case.code}")
        await world.fleet.put([payload("v2", "exit", str(case.code), "0.1")])
        with still_judged():
            await world.wait_life("it to end again", lambda life: life.image == V2 and len(life.runs) > case.pauses)
            await world.fleet.told(Phase.FAILED, reason="Exited")
        await env.mark("mend")
        with still_judged():
            await world.fleet.run([payload("v3")])
        await env.mark("end")
        env.step("assert", "few starts, with pauses that grow; then the new version")
        await judged(
            env,
            crash_loop_paused(DEVICE, SLOT, "loop", case.pauses + 1),
            said_meanwhile(DEVICE, APP, "Exited", "loop", "end"),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@dataclass(frozen=True, slots=True)
class Hand:
    """What somebody does to the container; `long`: the agent is given the minute after which it says so."""

    does: Literal["pause", "rename"]
    long: bool = False
    needs: tuple[str, ...] = NEEDS


@cases(
    "container-dies",
    {
        "paused-by-hand": Hand("pause"),
        "paused-until-stuck": Hand("pause", long=True),
        "renamed-by-hand": Hand("rename"),
    },
)
async def test_container_that_somebody_holds(env: Environment, case: Hand) -> None:
    """What is paused or renamed is left alone, and is still the one that a new version replaces.

    SETUP   a service runs
    ACTION  pause its container (for a moment, or until the agent calls it stuck) and let it go on; or rename it;
            then order a new version
    ASSERT  nothing is done to it meanwhile; then it is replaced in order
    """
    async with upkeep(env) as world:
        container = (await world.container()).id
        host = world.fleet.device.host
        env.step("action", f"{case.does} the container")
        words = ("pause", container) if case.does == "pause" else ("rename", container, "another-name")
        await host.podman(*words)
        await env.mark("held")
        await world.wait_looks(LOOKS)
        if case.long:
            with still_judged():
                await world.wait_reason("Stuck", deadline_s=STUCK_WITHIN_S)
        await env.mark("let-go")
        if case.does == "pause":
            await host.podman("unpause", container)
            with still_judged():
                await world.wait_healthy()
        with still_judged():
            await world.fleet.run([payload("v2")])
            await world.wait_alone(V2)
        await env.mark("end")
        env.step("assert", "nothing was done to it before the new version came")
        await judged(
            env,
            untouched("held", "let-go"),
            *([said_meanwhile(DEVICE, APP, "Stuck", "held", "let-go")] if case.long else []),
            rolled_in_order(DEVICE, APP, "main"),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@dataclass(frozen=True, slots=True)
class Stranger:
    """A container that no agent made: with the very name that ours is to get, or just there."""

    has_our_name: bool
    needs: tuple[str, ...] = NEEDS


@cases("container-dies", {"name-taken": Stranger(has_our_name=True), "stranger-beside": Stranger(has_our_name=False)})
async def test_stranger(env: Environment, case: Stranger) -> None:
    """A container that the agent did not make is never touched, whatever it is called.

    SETUP   a service ran; the agent is stopped, its container removed, and somebody else's made, which runs
    ACTION  start the agent; if the stranger has our container's name, it is removed once the agent has complained
    ASSERT  nothing happened to the stranger while it was there; NameTaken if it had our name; then the service runs
    """
    async with upkeep(env) as world:
        host = world.fleet.device.host
        ours = await world.container()
        env.step("setup", "stop the agent; a stranger takes the place of the container")
        await world.fleet.device.agent.stop()
        await host.podman("rm", "--force", "--time=0", ours.id)
        name = ours.name if case.has_our_name else STRANGER
        stranger = await host.podman("run", "--detach", f"--name={name}", V1)
        await env.mark("beside")
        env.step("action", "start the agent")
        await world.start_agent()
        with still_judged():
            if case.has_our_name:
                await world.wait_reason("NameTaken")
                await world.wait_looks(LOOKS)
            else:
                await world.wait_running(V1)
                await world.wait_healthy()
                await world.fleet.run([full("v2")])
                await world.wait_alone(V2)
        await env.mark("watched")
        if case.has_our_name:
            env.step("action", "the stranger goes")
            await host.podman("rm", "--force", "--time=0", stranger)
            with still_judged():
                await world.wait_running(V1)
                await world.wait_healthy()
        await env.mark("end")
        env.step("assert", "the stranger was left alone, and then the service runs")
        await judged(
            env,
            stranger_untouched(stranger, "beside", "watched"),
            *([said_meanwhile(DEVICE, APP, "NameTaken", "beside", "watched")] if case.has_our_name else []),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


async def judged(env: Environment, *checks: Check) -> None:
    require_pass(await env.judge(agent_worked, no_agent_exit, never_two_running, *checks))
