"""Family: what an agent keeps running. Shape R8: the device loses its power."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fleet.wire import Lifecycle, Phase, PullPolicy, Service
from harness.checks.containers import never_two_running, runs_as_desired, untouched
from harness.checks.gate import step_reached
from harness.checks.judge import Check
from harness.checks.life import faults_bit
from harness.checks.reporting import agent_worked, ids_reported, no_agent_exit, reported
from harness.checks.upkeep import kept, running_at
from harness.env import Environment
from harness.faults.cable_out import CableOut
from harness.faults.power_cut import PowerCut
from harness.services.gate_rules import Rule
from harness.services.payload_images import image
from scenarios.cases import cases, require_pass, still_judged
from scenarios.worlds.agent import APP, DEVICE, SETTLE_S, payload
from scenarios.worlds.upkeep import NEEDS, SLOT, V1, V2, full, upkeep

MISSING = image("v9")
LOOKS = 10
Step = Literal["pull", "create", "stop", "start", "remove"]
STEPS: Mapping[Step, Rule] = {
    "pull": Rule("pull", "POST", r"/images/pull\?"),
    "create": Rule("create", "POST", r"/containers/create$"),
    "stop": Rule("stop", "POST", r"/containers/[0-9a-f]+/stop$"),
    "start": Rule("start", "POST", r"/containers/[0-9a-f]+/start$"),
    "remove": Rule("remove", "DELETE", r"/containers/"),
}


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a roll stands when the power goes; None: all is settled."""

    before: Step | None
    needs: tuple[str, ...] = NEEDS


@cases(
    "power-loss",
    {
        "settled": Cut(None),
        "desired-taken": Cut("pull"),
        "before-create": Cut("create"),
        "new-created": Cut("stop"),
        "old-died": Cut("start"),
        "new-started": Cut("remove"),
    },
)
async def test_power_cut(env: Environment, case: Cut) -> None:
    """Wherever a roll stands, after the boot it goes on, and what is desired runs.

    SETUP   v1 runs
    ACTION  order v2; cut the power before that request of the agent reaches podman; or cut it while all is settled;
            then boot, and start the agent
    ASSERT  the step was reached; what is desired runs, and no other; at no time did two; the ids are podman's
    """
    async with upkeep(env) as world:
        device = world.fleet.device
        await env.mark("settled")
        cut = PowerCut(device.host)
        order = None
        if case.before is None:
            env.step("action", "the power goes")
            await env.strike(cut)
        else:
            held = world.gate.hold(STEPS[case.before])
            env.step("action", f"order v2; the power goes before its {case.before}")
            order = await world.fleet.put([full("v2")])
            await held.reached(SETTLE_S)
            await env.strike(cut)
            held.drop()
        await env.mend(cut)
        await world.start_agent()
        wanted = V1 if case.before is None else V2
        with still_judged():
            await world.wait_running(wanted)
            # What was reported before the power went is still there.
            await world.wait_beats(2)
            await world.wait_healthy(order)
            await world.wait_alone(wanted)
        await env.mark("end")
        env.step("assert", "what is desired runs")
        await judged(
            env,
            *([step_reached(STEPS[case.before].name, 1)] if case.before else [kept(DEVICE, "settled", "end")]),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@dataclass(frozen=True, slots=True)
class Boot:
    """What is missing when the agent starts."""

    without: Literal["broker", "files", "broker-and-files"]
    needs: tuple[str, ...] = NEEDS


@cases("power-loss", {"broker-away": Boot("broker")})
async def test_boot_without_broker(env: Environment, case: Boot) -> None:  # noqa: ARG001 - `cases` hands it over
    """Without a broker the device runs what it ran before.

    SETUP   a service runs
    ACTION  cut the power; boot with the cable pulled, and start the agent; then plug the cable in
    ASSERT  the same container runs before the cable is in; then it is reported
    """
    async with upkeep(env) as world:
        host = world.fleet.device.host
        await env.mark("settled")
        env.step("action", "the power goes; the device boots without a network")
        cut, cable = PowerCut(host), CableOut(host)
        await env.strike(cut)
        await env.mend(cut)
        await env.strike(cable)
        await world.start_agent()
        with still_judged():
            await world.wait_running(V1, starts=2)
        await env.mark("offline")
        await env.mend(cable)
        with still_judged():
            await world.wait_beats(2)
            await world.wait_healthy()
        await env.mark("end")
        env.step("assert", "it ran before there was a network")
        await judged(
            env,
            running_at(DEVICE, SLOT, "offline", V1),
            kept(DEVICE, "settled", "end"),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
        )


@cases("power-loss", {"empty-disk": Boot("files"), "empty-disk-broker-away": Boot("broker-and-files")})
async def test_agent_without_its_files(env: Environment, case: Boot) -> None:
    """An agent that knows nothing any more adopts what runs, by its labels; while nobody tells it, it does nothing.

    SETUP   a service runs
    ACTION  kill the agent, take its files away, start it again; maybe with the cable pulled, for some looks
    ASSERT  no event of any container; the ids are podman's; then a new version replaces it
    """
    async with upkeep(env) as world:
        device = world.fleet.device
        await env.mark("settled")
        env.step("action", "the agent dies, and its files are gone")
        await device.agent.kill()
        shutil.rmtree(device.host.root / "var")
        cable = CableOut(device.host) if case.without == "broker-and-files" else None
        if cable is not None:
            await env.strike(cable)
        await world.start_agent()
        await world.wait_looks(LOOKS)
        if cable is not None:
            await env.mend(cable)
        with still_judged():
            await world.wait_beats()
            await world.wait_looks(LOOKS)
        await env.mark("adopted")
        with still_judged():
            await world.fleet.run([payload("v2")])
            await world.wait_alone(V2)
        env.step("assert", "what ran was left alone, and is known again")
        await judged(
            env,
            untouched("settled", "adopted"),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
            faults=cable is not None,
        )


@dataclass(frozen=True, slots=True)
class LastGood:
    """How v1 comes to its end while v2 cannot be made."""

    by: Literal["power", "signal"]
    needs: tuple[str, ...] = NEEDS


@cases("power-loss", {"last-good": LastGood("power"), "last-good-killed": LastGood("signal")})
async def test_last_good(env: Environment, case: LastGood) -> None:
    """While its replacement cannot be made, the last good one runs, also after a power cut; then it is replaced.

    SETUP   v1 runs; v2 is ordered, whose image is not on the device; Failed, ImageMissing
    ACTION  cut the power, boot, start the agent (or kill v1's payload); then bring the image
    ASSERT  v1 runs again before the image is there, and v2 after that
    """
    async with upkeep(env, lifecycle=Lifecycle("SIGTERM", 1)) as world:
        host = world.fleet.device.host
        order = await world.fleet.put([missing()], Lifecycle("SIGTERM", 1))
        await world.fleet.told(Phase.FAILED, order, reason="ImageMissing")
        await env.mark("cannot-be-made")
        env.step("action", f"v1 ends, by {case.by}")
        if case.by == "power":
            cut = PowerCut(host)
            await env.strike(cut)
            await env.mend(cut)
            await world.start_agent()
        else:
            container = (await world.container()).id
            await world.inside("kill", "-KILL", await host.podman("inspect", "--format", "{{.State.Pid}}", container))
        with still_judged():
            await world.wait_running(V1, starts=2)
        await env.mark("before-image")
        env.step("action", "the image comes")
        await host.podman("tag", image("v3"), MISSING)
        with still_judged():
            await world.wait_healthy()
            await world.wait_alone(MISSING)
        await env.mark("end")
        env.step("assert", "v1 ran until v2 could be made")
        await judged(
            env,
            running_at(DEVICE, SLOT, "before-image", V1),
            runs_as_desired(DEVICE),
            reported(DEVICE, APP, Phase.RUNNING),
            ids_reported(DEVICE),
            faults=case.by == "power",
        )


def missing() -> Service:
    return Service("main", MISSING, ("/bin/payload", "sleep"), image_pull_policy=PullPolicy.NEVER)


async def judged(env: Environment, *checks: Check, faults: bool = True) -> None:
    bit = [faults_bit] if faults else []
    require_pass(await env.judge(agent_worked, no_agent_exit, *bit, never_two_running, *checks))
