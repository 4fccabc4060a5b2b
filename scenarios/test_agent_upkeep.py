"""Family: what an agent keeps running. Shape R5: it looks a thousand times, and does nothing."""

from dataclasses import dataclass
from typing import Literal

from fleet.wire import Phase
from harness.checks.containers import never_two_running, runs_as_desired, untouched
from harness.checks.life import faults_bit
from harness.checks.reporting import agent_worked, ids_reported, no_agent_exit, reported
from harness.checks.upkeep import looked
from harness.env import Environment
from harness.faults.broker_kill import BrokerKilled
from harness.faults.cable_out import CableOut
from harness.faults.podman_away import PodmanAway
from scenarios.cases import cases, require_pass
from scenarios.worlds.agent import APP, DEVICE, SETTLE_S
from scenarios.worlds.upkeep import NEEDS, Upkeep, full, upkeep

LOOKS = 20
# As fast as podman answers.
NO_PAUSE_S = 0.001
What = Literal[
    "ticks",
    "agent-killed",
    "agent-stopped",
    "agent-upgraded",
    "broker-restarted",
    "podman-restarted",
    "network-cut",
    "new-generation",
]


FAULTS: tuple[What, ...] = ("broker-restarted", "podman-restarted", "network-cut")


@dataclass(frozen=True, slots=True)
class Ticks:
    what: What
    looks: int = LOOKS
    needs: tuple[str, ...] = NEEDS


@cases(
    "ticks-idempotent",
    {
        "1000-ticks": Ticks("ticks", 1000),
        "agent-killed": Ticks("agent-killed"),
        "agent-stopped": Ticks("agent-stopped"),
        "agent-upgraded": Ticks("agent-upgraded"),
        "broker-restarted": Ticks("broker-restarted"),
        "podman-restarted": Ticks("podman-restarted"),
        "network-cut": Ticks("network-cut"),
        "new-generation": Ticks("new-generation"),
    },
)
async def test_ticks_idempotent(env: Environment, case: Ticks) -> None:
    """However often the agent looks, and whatever happens around it: what runs is left alone.

    SETUP   a service with a command, env, ports and volumes runs; the agent's requests to podman are counted
    ACTION  nothing for so many looks; or the agent, the broker, podman or the network goes and comes back, or the
            same score is written again
    ASSERT  no event of any container; the ids that are reported are those of podman
    """
    async with upkeep(env, tick_s=NO_PAUSE_S if case.what == "ticks" else 0.05) as world:
        await env.mark("settled")
        env.step("action", f"{case.what}, then {case.looks} looks at podman")
        await happen(world, case.what)
        await world.wait_looks(case.looks, deadline_s=2 * SETTLE_S)
        await env.mark("end")
        env.step("assert", "nothing was done to the container, and its id is the one that is reported")
        require_pass(
            await env.judge(
                agent_worked,
                *([faults_bit] if case.what in FAULTS else []),
                no_agent_exit,
                looked("settled", "end", case.looks),
                untouched("settled", "end"),
                never_two_running,
                runs_as_desired(DEVICE),
                reported(DEVICE, APP, Phase.RUNNING),
                ids_reported(DEVICE),
            )
        )


async def happen(world: Upkeep, what: What) -> None:
    """On return it is over."""
    env, device = world.env, world.fleet.device
    match what:
        case "ticks":
            return
        case "agent-killed" | "agent-stopped":
            await (device.agent.kill() if what == "agent-killed" else device.agent.stop())
            await world.start_agent()
            await world.wait_beats()
        case "agent-upgraded":
            old = device.agent
            new = await world.start_agent()
            await new.wait_log("waiting_for_device_lock", since=0, deadline_s=SETTLE_S)
            await old.stop()
            await new.wait_log('"started"', since=0, deadline_s=SETTLE_S)
            await world.wait_beats()
        case "broker-restarted":
            fault = BrokerKilled(env.nats, env.witnesses.buckets.client.jetstream())
            await env.strike(fault)
            await world.wait_looks(LOOKS)
            await env.mend(fault)
            await world.wait_beats()
        case "podman-restarted":
            away = PodmanAway(device.host)
            await env.strike(away)
            await world.fleet.told(Phase.RUNNING, reason="RuntimeAway")
            await env.mend(away)
            await world.wait_healthy()
        case "network-cut":
            cable = CableOut(device.host)
            await env.strike(cable)
            await world.wait_looks(2 * LOOKS)
            await env.mend(cable)
            await world.wait_beats()
        case "new-generation":
            await world.fleet.run([full()])
