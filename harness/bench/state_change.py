"""What one change of a device's state costs the operator, in a small fleet and in a large one.

Both operators run all the time; a round measures each fleet at rest and then under load. What an operator uses at rest
is taken off. The status patches of the same load are counted by the API server and held against the history.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from fleet.wire import deployment_name
from harness.bench.audit import Answered, answered_since
from harness.bench.figures import Spread
from harness.bench.flips import Flipper, Stored, play, stall_s
from harness.bench.machine import machine
from harness.bench.operators import Life, operator
from harness.bench.patches import Patch, PatchCount, count_patches
from harness.bench.plan import Plan
from harness.bench.settle import settle
from harness.bench.stage import Say, Stage, World, stage, world
from harness.bench.statuses import StatusHistory, statuses
from harness.bench.usage import usage_of
from harness.history.records import Json
from harness.services.process import log_mark

_BASE_S, _S_PER_DEVICE = 60.0, 0.005
# A report is folded within this after it was stored, or the operator is too slow for the rate. On a busy machine all
# wait, so the longest wait of the load itself is added.
_LAG_S = 0.25
# After the last report: the tick that shows it, and one in which nothing happens.
_TAIL_S = 2.5


@dataclass(frozen=True, slots=True)
class Load:
    """How many changes, how fast, how often."""

    changes: int
    rate_per_s: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Lap:
    """One fleet in one round."""

    cpu_s_per_change: float
    idle_cpu_s_per_s: float
    rate_per_s: float
    generator_cpu_s_per_s: float
    lag_s: float
    patches: PatchCount


@dataclass(frozen=True, slots=True)
class StateChange:
    """Laps by fleet, and the largest resident size of each fleet's operator."""

    load: Load
    plans: Sequence[Plan]
    laps: Mapping[int, Sequence[Lap]]
    rss_max_bytes: Mapping[int, int]

    @property
    def problems(self) -> list[str]:
        return [
            f"{devices} devices: {problem}"
            for devices, laps in self.laps.items()
            for lap in laps
            for problem in lap.patches.problems
        ]

    def as_json(self) -> Json:
        small, large = (plan.devices for plan in self.plans)
        per_change = {n: Spread.of(lap.cpu_s_per_change for lap in laps) for n, laps in self.laps.items()}
        counts = [lap.patches for laps in self.laps.values() for lap in laps]
        return {
            "cpu_ratio_100k_over_1k": round(per_change[large].median / per_change[small].median, 3),
            "devices": [small, large],
            "deployments": self.plans[0].deployments,
            "changes": self.load.changes,
            "rounds": self.load.rounds,
            "patches": sum(count.patches for count in counts),
            "changed_pairs": sum(count.changed_pairs for count in counts),
            "undecided": sum(count.undecided for count in counts),
            "problems": self.problems[:20],
            "fleets": {str(n): self._fleet_json(n, spread) for n, spread in per_change.items()},
            "machine": machine(),
        }

    def _fleet_json(self, devices: int, per_change: Spread) -> Json:
        laps = self.laps[devices]
        return {
            "cpu_s_per_change": per_change.as_json(digits=9),
            "idle_cpu_s_per_s": Spread.of(lap.idle_cpu_s_per_s for lap in laps).as_json(),
            "rate_per_s": Spread.of(lap.rate_per_s for lap in laps).as_json(1),
            "generator_cpu_s_per_s": Spread.of(lap.generator_cpu_s_per_s for lap in laps).as_json(),
            "lag_s": Spread.of(lap.lag_s for lap in laps).as_json(),
            "patches": sum(lap.patches.patches for lap in laps),
            "changed_pairs": sum(lap.patches.changed_pairs for lap in laps),
            "ticks": sum(lap.patches.ticks for lap in laps),
            "rss_max_bytes": self.rss_max_bytes[devices],
        }


def measure(
    binaries: Mapping[str, Path], plans: tuple[Plan, Plan], load: Load, command: Sequence[str], *, say: Say
) -> StateChange:
    """The small fleet first. Raises HarnessError; nothing that was started is left."""
    return asyncio.run(_measure(binaries, plans, load, command, say=say))


async def _measure(
    binaries: Mapping[str, Path], plans: tuple[Plan, Plan], load: Load, command: Sequence[str], *, say: Say
) -> StateChange:
    async with stage(binaries, say) as on, AsyncExitStack() as stack:
        fleets = [await stack.enter_async_context(_Fleet.open(on, plan, command, say)) for plan in plans]
        laps: dict[int, list[Lap]] = {plan.devices: [] for plan in plans}
        for number in range(load.rounds):
            for fleet in fleets:
                lap = await fleet.lap(load)
                laps[fleet.here.plan.devices].append(lap)
                say(
                    f"round {number + 1} of {load.rounds}: {fleet.here.plan.devices} devices: "
                    f"{lap.cpu_s_per_change * 1e6:.1f} µs of CPU a change at {lap.rate_per_s:.0f}/s, "
                    f"{lap.patches.patches} patches for {lap.patches.changed_pairs} changed statuses"
                )
        rss = {fleet.here.plan.devices: usage_of(fleet.life.process.pid).rss_max_bytes for fleet in fleets}
        return StateChange(load, plans, laps, rss)


class _Fleet:
    """One world with the operator that serves it."""

    def __init__(self, here: World, life: Life, flipper: Flipper) -> None:
        self.here = here
        self.life = life
        self._flipper = flipper

    @classmethod
    @asynccontextmanager
    async def open(cls, on: Stage, plan: Plan, command: Sequence[str], say: Say) -> AsyncIterator[Self]:
        within_s = _BASE_S + _S_PER_DEVICE * plan.devices
        async with world(on, plan, f"fleet-{plan.devices}") as here:
            await settle(here, command, converges_within_s=within_s, say=say)
            async with operator(here, command, converges_within_s=within_s) as life:
                yield cls(here, life, Flipper(plan, await here.owners(), seed=plan.devices))

    async def lap(self, load: Load) -> Lap:
        """At rest for as long as the load will take, then the load."""
        flips = self._flipper.plan(load.changes)
        idle = await self._at_rest(load.changes / load.rate_per_s + _TAIL_S)
        audit, offset = self.here.stage.kube.audit_path, log_mark(self.here.stage.kube.audit_path)
        async with statuses(self.here) as history:
            generator_cpu_s, began = time.process_time(), time.monotonic()
            before = usage_of(self.life.process.pid)
            stored = await play(self.here, flips, load.rate_per_s)
            loaded_s = time.monotonic() - began
            generator_cpu_s = time.process_time() - generator_cpu_s
            await asyncio.sleep(_TAIL_S)
            lasted_s = time.monotonic() - began
            used = usage_of(self.life.process.pid).since(before)
        lag_s = _LAG_S + stall_s(stored)
        return Lap(
            cpu_s_per_change=(used.cpu_s - idle * lasted_s) / load.changes,
            idle_cpu_s_per_s=idle,
            rate_per_s=len(stored) / loaded_s,
            generator_cpu_s_per_s=generator_cpu_s / loaded_s,
            lag_s=lag_s,
            patches=_judge(history, stored, answered_since(audit, offset, self.here.namespace), lag_s),
        )

    async def _at_rest(self, seconds: float) -> float:
        """CPU seconds per second without any change."""
        before, began = usage_of(self.life.process.pid), time.monotonic()
        await asyncio.sleep(seconds)
        return usage_of(self.life.process.pid).since(before).cpu_s / (time.monotonic() - began)


def _judge(history: StatusHistory, stored: Sequence[Stored], answered: Sequence[Answered], lag_s: float) -> PatchCount:
    """Each patch with the version that came of it: the server stores a Deployment's patches in the order of the log."""
    turns = {name: iter(counts) for name, counts in history.versions.items()}
    shown = dict(history.initial)
    patches: list[Patch] = []
    for request in answered:
        if request.patched_status:
            name = deployment_name(request.name)
            # A patch without a version of its own changed nothing: the status still says what it said.
            shown[name] = next(turns.get(name, iter(())), shown[name])
            patches.append(Patch(name, request.at_s, shown[name]))
    return count_patches(history.initial, stored, patches, lag_s=lag_s)
