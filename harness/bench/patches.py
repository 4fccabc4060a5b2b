"""Were exactly those Deployments patched, in each tick, whose status had changed? Judged from the history. Pure.

    reports (sent, acknowledged) --> what the counts of a Deployment may have been when a tick decided
    patches (API server)         --> in which ticks it was patched, and to what

The operator decides somewhere between the first and the last request of a tick, on reports that it may have heard up
to `lag_s` late. So a tick has a window, and in it the counts take one value or a few. If they never had the
value last patched, a patch is due; if they had no other, none is; if they had both, either is right.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fleet.wire import DeploymentName, Phase
from harness.bench.flips import Stored

# A pause of this ends a tick. On a busy machine there may be none: then a Deployment's next patch begins the next tick.
TICK_GAP_S = 0.3
# Ticks begin a second apart, however long each takes; the first patch of one may come late.
_APART_S_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Patch:
    """A status patch that the API server stored: `succeeded` is the count in it. Unix time."""

    deployment: DeploymentName
    at_s: float
    succeeded: int


@dataclass(frozen=True, slots=True)
class PatchCount:
    """`patches` were stored; `changed_pairs` of (Deployment, tick) had a changed status; `problems` are the rest."""

    patches: int
    changed_pairs: int
    ticks: int
    undecided: int
    problems: tuple[str, ...]


def count_patches(
    initial: Mapping[DeploymentName, int], reports: Sequence[Stored], patches: Sequence[Patch], *, lag_s: float
) -> PatchCount:
    """`initial` has the succeeded devices of each Deployment before the first report, as its status said."""
    timelines = {name: _Timeline(count) for name, count in initial.items()}
    for report in reports:
        timelines[report.pair.deployment].add(report)
    ordered = sorted(patches, key=lambda patch: patch.at_s)
    shown = dict(initial)
    changed = undecided = 0
    problems: list[str] = []
    ticks = _ticks(ordered)
    patched_since_s: dict[DeploymentName, float] = {}
    for number, tick in enumerate(ticks, 1):
        begin_s, end_s = min(p.at_s for p in tick.values()), max(p.at_s for p in tick.values())
        for name, timeline in timelines.items():
            if patch := tick.get(name):
                since_s = patch.at_s - patched_since_s.get(name, -math.inf)
                problem = _unjustified(patch, since_s, shown[name], timeline.between(patch.at_s - lag_s, patch.at_s))
                changed += not problem
                shown[name], patched_since_s[name] = patch.succeeded, begin_s
            else:
                possible = timeline.between(begin_s - lag_s, end_s)
                problem = (
                    "" if shown[name] in possible else f"not patched from {shown[name]} to one of {sorted(possible)}"
                )
                changed += bool(problem)
                undecided += not problem and len(possible) > 1
            if problem:
                problems.append(f"tick {number}, {name}: {problem}")
    problems += [
        f"at the end, {name}: the status says {shown[name]} succeeded, the reports add up to {timeline.last}"
        for name, timeline in timelines.items()
        if shown[name] != timeline.last
    ]
    return PatchCount(len(ordered), changed, len(ticks), undecided, tuple(problems))


def _ticks(ordered: Sequence[Patch]) -> list[dict[DeploymentName, Patch]]:
    """The patches of each tick, by Deployment."""
    ticks: list[dict[DeploymentName, Patch]] = []
    last_s = -math.inf
    for patch in ordered:
        if patch.at_s - last_s > TICK_GAP_S or patch.deployment in ticks[-1]:
            ticks.append({})
        ticks[-1][patch.deployment] = patch
        last_s = patch.at_s
    return ticks


def _unjustified(patch: Patch, since_s: float, shown: int, possible: set[int]) -> str:
    """What is wrong with a patch, `since_s` after the begin of the tick with the one before; "" if nothing is."""
    if since_s < _APART_S_MIN:
        return f"patched again {since_s:.2f} s after the begin of a tick that had patched it"
    if patch.succeeded == shown:
        return f"patched to {shown}, which it said already"
    return "" if patch.succeeded in possible else f"patched to {patch.succeeded}, expected one of {sorted(possible)}"


class _Timeline:
    """How many devices of one Deployment had succeeded, report by report."""

    def __init__(self, initial: int) -> None:
        self._counts = [initial]
        self._sent_at_s: list[float] = []
        self._acked_at_s: list[float] = []

    def add(self, report: Stored) -> None:
        self._counts.append(self._counts[-1] + (1 if report.phase is Phase.RUNNING else -1))
        self._sent_at_s.append(report.sent_at_s)
        self._acked_at_s.append(report.acked_at_s)

    @property
    def last(self) -> int:
        return self._counts[-1]

    def between(self, heard_s: float, told_s: float) -> set[int]:
        """What the count may be for who has heard all that was stored by `heard_s` and nothing sent after `told_s`."""
        return set(self._counts[bisect_right(self._acked_at_s, heard_s) : bisect_right(self._sent_at_s, told_s) + 1])
