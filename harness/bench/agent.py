"""What an agent adds to podman: to the start of a container, and to a device on which nothing happens.

    starts   KV write -> broker -> agent -> podman's socket -> container runs     in turns with
             `podman run --detach` of the same specification in the same machine, to the container's start as well
    idle     one running service on a machine of its own, looked at for a while: CPU and memory of the agent's process

The agent is the built file, run by a Python without packages, as on a device.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.bench.agent_stage import LIFECYCLE, PRODUCT_RATES, TEST_RATES, Subject, commands, site, subject
from harness.bench.figures import Spread, difference
from harness.bench.machine import machine
from harness.bench.podman_run import essence, run_arguments, short_digest
from harness.bench.stage import Say
from harness.bench.usage import rss_bytes, usage_of
from harness.errors import Mismatch
from harness.history.records import Json
from harness.toolchain import NATS_SERVER

NEEDED = (NATS_SERVER,)
_WARM_UPS = 1
# After its start it still looks at what it has just started, and says so.
_SETTLES_S = 5.0
_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Idle:
    """Of one agent at rest: CPU in percent of one core, and what it has in memory; what its looks cost podman."""

    cpu_percent: float
    podman_cpu_percent: float
    rss_bytes: int
    rss_max_bytes: int

    def as_json(self) -> Json:
        return {
            "cpu_percent": round(self.cpu_percent, 3),
            "podman_cpu_percent": round(self.podman_cpu_percent, 3),
            "rss_mib": round(self.rss_bytes / _MIB, 1),
            "rss_max_mib": round(self.rss_max_bytes / _MIB, 1),
        }


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds from the write, or from the command, to the container's start; `digest` is of what both ran."""

    agent_s: Sequence[float]
    podman_s: Sequence[float]
    digest: str


@dataclass(frozen=True, slots=True)
class Answer:
    """`idle` by who it is; the first of them is the one that the figures are of."""

    starts: Starts
    idle: Mapping[str, Idle]
    idle_s: float

    def as_json(self) -> Json:
        agent, podman = Spread.of(self.starts.agent_s), Spread.of(self.starts.podman_s)
        first = next(iter(self.idle.values())).as_json()
        return {
            "kv_to_container_over_podman_run": round(agent.median / podman.median, 3),
            "idle_cpu_percent": first["cpu_percent"],
            "idle_rss_mib": first["rss_mib"],
            "kv_to_container_s": agent.as_json(),
            "podman_run_s": podman.as_json(),
            "rounds": len(self.starts.agent_s),
            "config_digest": self.starts.digest,
            "idle_s": self.idle_s,
            "idle": {name: idle.as_json() for name, idle in self.idle.items()},
            "machine": machine(),
        }


def measure(
    binaries: Mapping[str, Path], agent: Sequence[str] | None, *, rounds: int, idle_s: float, say: Say
) -> Answer:
    """`agent` is another one's command; None: ours, as a file and as installed here.

    Raises:
        Mismatch: the agent's containers are not what `podman run` was told.
        HarnessError: a server or a machine could not be had.
    """
    return asyncio.run(_measure(binaries, agent, rounds=rounds, idle_s=idle_s, say=say))


async def _measure(
    binaries: Mapping[str, Path], agent: Sequence[str] | None, *, rounds: int, idle_s: float, say: Say
) -> Answer:
    async with site(binaries, say) as here:
        agents = await commands(here, agent)
        name, first = next(iter(agents.items()))
        async with subject(here, "starts", first, PRODUCT_RATES) as one:
            starts = await _starts(one, rounds, say)
        async with AsyncExitStack() as stack:
            subjects = {
                each: await stack.enter_async_context(subject(here, f"idle-{each}", command, PRODUCT_RATES))
                for each, command in agents.items()
            }
            often = await stack.enter_async_context(subject(here, f"idle-{name}-often", first, TEST_RATES))
            subjects[f"{name} at a test's rates"] = often
            idle = await _idle(subjects, idle_s, say)
    return Answer(starts, idle, idle_s)


async def _starts(one: Subject, rounds: int, say: Say) -> Starts:
    agent_s: list[float] = []
    podman_s: list[float] = []
    digest = ""
    for number in range(-_WARM_UPS, rounds):
        first, second = (_by_agent, _by_podman) if number % 2 == 0 else (_by_podman, _by_agent)
        taken = dict([await first(one, number), await second(one, number)])
        (ours_s, ours), (theirs_s, theirs) = taken["agent"], taken["podman"]
        if different := difference(ours, theirs):
            raise Mismatch(f"the agent's container is not the one of `podman run`: {different}")
        digest = short_digest(ours)
        if number < 0:
            continue
        agent_s.append(ours_s)
        podman_s.append(theirs_s)
        say(f"round {number + 1} of {rounds}: {ours_s:.3f} s from the KV write, {theirs_s:.3f} s by podman run")
    return Starts(agent_s, podman_s, digest)


_Taken = tuple[str, tuple[float, Json]]


async def _by_agent(one: Subject, number: int) -> _Taken:
    deployment = f"round-{number + _WARM_UPS}"
    began_s = await one.run(deployment)
    found = await one.container(deployment)
    await one.end(deployment)
    return "agent", (found.started_s - began_s, essence(found))


async def _by_podman(one: Subject, number: int) -> _Taken:
    name = f"bare-{number + _WARM_UPS}"
    began_s = time.time()
    await one.host.podman(*run_arguments(name, one.service, LIFECYCLE))
    found = await one.inspect(name)
    await one.host.podman("rm", "--force", "--time=0", name)
    return "podman", (found.started_s - began_s, essence(found))


async def _idle(subjects: Mapping[str, Subject], idle_s: float, say: Say) -> dict[str, Idle]:
    for one in subjects.values():
        await one.run("idle")
    say(f"looking at {len(subjects)} idle agents for {idle_s:g} s, at the same time")
    await asyncio.sleep(_SETTLES_S)
    watches = {name: _Watch.begin(one.agent.pid, one.host.podman_pid) for name, one in subjects.items()}
    await asyncio.sleep(idle_s)
    for one in subjects.values():
        one.agent.check_running()
    return {name: watch.end() for name, watch in watches.items()}


@dataclass(frozen=True, slots=True)
class _Watch:
    """The agent and podman's service, from an instant on."""

    agent: int
    podman: int
    began_s: float
    agent_cpu_s: float
    podman_cpu_s: float

    @classmethod
    def begin(cls, agent: int, podman: int) -> Self:
        return cls(agent, podman, time.monotonic(), usage_of(agent).cpu_s, usage_of(podman).cpu_s)

    def end(self) -> Idle:
        used, podman_cpu_s = usage_of(self.agent), usage_of(self.podman).cpu_s
        percent = 100 / (time.monotonic() - self.began_s)
        return Idle(
            cpu_percent=percent * (used.cpu_s - self.agent_cpu_s),
            podman_cpu_percent=percent * (podman_cpu_s - self.podman_cpu_s),
            rss_bytes=rss_bytes(self.agent),
            rss_max_bytes=used.rss_max_bytes,
        )
