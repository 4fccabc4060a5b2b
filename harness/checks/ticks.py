"""Which status patches cannot have come from ticks: two of one Deployment, and no time for a tick between them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.history import Request

# Ticks of one operator begin this far apart, and the next one begins when the one before has ended.
TICK_S = 1.0
# On a busy machine the first patch of a tick comes this long after its begin, at the latest.
_FIRST_WITHIN_S = 0.8

Numbered = tuple[int, Request]
"""A patch with its line number in the history."""


@dataclass(frozen=True, slots=True)
class _Way:
    """One way in which ticks explain the patches so far: when the last tick began at the earliest, whom it patched."""

    began_s: float
    patched: frozenset[str]


def outside_of_ticks(patches: Iterable[Numbered]) -> list[int]:
    """The lines of those patches that no sequence of ticks explains, whichever patches belong to one tick.

    A tick patches no Deployment twice. Nobody sees where one ends: on a busy machine its patches may take a second,
    with any pause between them. So all ways are followed, and a patch is outside of ticks only if none has it.
    """
    by_operator: dict[str, list[Numbered]] = defaultdict(list)
    for line, patch in patches:
        by_operator[patch.user_agent].append((line, patch))
    return sorted(line for theirs in by_operator.values() for line in _outside(theirs))


def _outside(patches: Sequence[Numbered]) -> list[int]:
    outside: list[int] = []
    ways: list[_Way] = []
    last_s = float("-inf")
    for line, patch in sorted(patches, key=lambda numbered: numbered[1].requested_s):
        at_s, named = patch.requested_s, frozenset({patch.name})
        before_s = min((way.began_s for way in ways), default=float("-inf"))
        next_began_s = max(before_s + TICK_S, last_s, at_s - _FIRST_WITHIN_S)
        ways = [_Way(way.began_s, way.patched | named) for way in ways if patch.name not in way.patched]
        if next_began_s <= at_s:
            ways.append(_Way(next_began_s, named))
        if not ways:
            outside.append(line)
            ways = [_Way(at_s, named)]
        last_s = at_s
    return outside
