"""How long an operator needs from its imports to Converged in a full, unchanged fleet, and what that is next to others.

Each round runs every contestant once, in a fresh process, on the same servers, and begins with the next one in turn.
What each of them saw is compared before any figure is given.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fleet.crds import DEPLOYMENT, DEVICE
from harness.bench.contestants.assignment import Aggregate
from harness.bench.figures import Sample, contestant_json, difference, digest, known_counts, medians
from harness.bench.machine import machine
from harness.bench.operators import operator
from harness.bench.plan import Plan
from harness.bench.programs import PAGE_LIMIT, PROGRAMS, run_program, write_assignment
from harness.bench.settle import Settled, mark, settle, writes_since
from harness.bench.stage import Say, World, expected_counts, stage, world
from harness.errors import Mismatch
from harness.history.records import Json
from harness.services.kube_answers import mapping

OURS, TWIN = "ours", "twin"
BARE = ("nats-drain", "list-drain")
BOTH = "both-drains"
# For how long an operator that has converged is watched for writes: its first status tick and the next.
_WATCHED_S = 1.5
_BASE_S, _S_PER_DEVICE = 60.0, 0.005


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What was measured, and what all contestants agreed on."""

    plan: Plan
    settled: Settled
    digest: str
    writes: int
    rounds: Mapping[str, Sequence[Sample]]

    @property
    def slowest_bare(self) -> str:
        middle = medians(self.rounds)
        return max(BARE, key=lambda name: middle[name])

    def as_json(self) -> Json:
        middle = medians(self.rounds)
        return {
            "devices": self.plan.devices,
            "deployments": self.plan.deployments,
            "pairs": len(self.plan.pairs),
            "rounds": len(self.rounds[OURS]),
            "buckets": [bucket.value for bucket in self.settled.buckets],
            "page_limit": PAGE_LIMIT,
            "digest": self.digest,
            "writes": self.writes,
            "ratio_to_bare": round(middle[OURS] / middle[self.slowest_bare], 3),
            "slowest_bare": self.slowest_bare,
            "ratio_to_both": round(middle[OURS] / middle[BOTH], 3),
            "twin_over_ours": round(middle[TWIN] / middle[OURS], 3),
            "seconds_per_device": round(middle[OURS] / self.plan.devices, 9),
            "contestants": {name: contestant_json(samples) for name, samples in self.rounds.items()},
            "machine": machine(),
        }


def measure(binaries: Mapping[str, Path], plan: Plan, command: Sequence[str], *, rounds: int, say: Say) -> ColdStart:
    """`command` starts the operator. Raises Mismatch, or another HarnessError; nothing that was started is left."""
    return asyncio.run(_measure(binaries, plan, command, rounds=rounds, say=say))


async def _measure(
    binaries: Mapping[str, Path], plan: Plan, command: Sequence[str], *, rounds: int, say: Say
) -> ColdStart:
    within_s = _BASE_S + _S_PER_DEVICE * plan.devices
    async with stage(binaries, say) as on, world(on, plan, "cold-start") as here:
        settled = await settle(here, command, converges_within_s=within_s, say=say)
        race = _Race(here, settled, command, within_s)
        names = [OURS, *PROGRAMS]
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                sample = await race.run(name)
                say(f"round {number + 1} of {rounds}: {name} {sample.seconds:.3f} s, CPU {sample.cpu_s:.2f} s")
        return ColdStart(plan, settled, race.digest, race.writes, race.samples)


class _Race:
    """Runs contestants one at a time and holds what each of them saw against the first operator's view."""

    def __init__(self, here: World, settled: Settled, command: Sequence[str], within_s: float) -> None:
        self.samples: dict[str, list[Sample]] = {name: [] for name in (OURS, *PROGRAMS)}
        self.digest = ""
        self.writes = 0
        self._aggregates: Mapping[str, Aggregate] = {}
        self._here = here
        self._settled = settled
        self._command = command
        self._within_s = within_s
        self._assignment = write_assignment(here, settled.buckets)
        stored = expected_counts(here.plan)
        keys = {bucket.value: stored[bucket] for bucket in settled.buckets}
        objects = {DEPLOYMENT.plural: here.plan.deployments, DEVICE.plural: here.plan.devices}
        pages = {f"{name} pages": math.ceil(count / PAGE_LIMIT) for name, count in objects.items()}
        known = keys | objects
        self._expected = {OURS: known, "nats-drain": keys, "list-drain": pages, BOTH: keys | pages, TWIN: known}

    async def run(self, name: str) -> Sample:
        sample = await (self._operator() if name == OURS else self._program(name))
        self.samples[name].append(sample)
        return sample

    async def _operator(self) -> Sample:
        start = await mark(self._here)
        async with operator(self._here, self._command, converges_within_s=self._within_s) as life:
            await asyncio.sleep(_WATCHED_S)
        self.writes += await writes_since(self._here, start)
        if self.writes:
            raise Mismatch(
                f"the operator made {self.writes} writes in an unchanged world: its figures are of another job"
            )
        self._compare(OURS, {name: source.seen for name, source in life.recovery.sources.items()})
        self._compare_states(OURS, await self._statuses())
        return Sample(life.startup_s, life.seconds, life.usage.cpu_s, life.usage.rss_max_bytes)

    async def _program(self, name: str) -> Sample:
        sample, answer = await run_program(self._here, name, self._assignment, within_s=self._within_s)
        self._compare(name, answer.counts)
        if name == TWIN:
            self._compare_states(name, answer.aggregates)
        return sample

    async def _statuses(self) -> dict[str, Aggregate]:
        """What the operator says of each Deployment, in the API."""
        found: dict[str, Aggregate] = {}
        for item in await self._here.deployments():
            status = item.get("status")
            found[str(mapping(item["metadata"])["name"])] = known_counts(status if isinstance(status, dict) else {})
        return found

    def _compare(self, name: str, counts: Mapping[str, int]) -> None:
        if found := difference(counts, self._expected[name]):
            raise Mismatch(f"{name} did not see the world as it was made: {found}")

    def _compare_states(self, name: str, aggregates: Mapping[str, Aggregate]) -> None:
        """The first one that folds the state sets the measure; every other one has to agree."""
        if found := difference(aggregates, self._aggregates or aggregates):
            raise Mismatch(f"{name} counts otherwise than the one before: {found}")
        matched = sum(counts["matched"] for counts in aggregates.values())
        if matched != len(self._here.plan.pairs):
            raise Mismatch(f"{name} counts {matched} matched pairs, there are {len(self._here.plan.pairs)}")
        self._aggregates = aggregates
        self.digest = digest(aggregates, self._expected[OURS])
