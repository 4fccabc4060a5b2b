"""The arithmetic of a benchmark. Pure."""

import hashlib
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.bench.contestants.assignment import COUNTS, Aggregate
from harness.history.records import Json


@dataclass(frozen=True, slots=True)
class Spread:
    """Of several measurements of one thing."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Raises ValueError if there is none."""
        known = list(values)
        return cls(statistics.median(known), min(known), max(known))

    def as_json(self, digits: int = 4) -> Json:
        return {"median": round(self.median, digits), "min": round(self.least, digits), "max": round(self.most, digits)}


@dataclass(frozen=True, slots=True)
class Sample:
    """One contestant in one round. `startup_s` is from spawn to the end of imports, `seconds` from there to done."""

    startup_s: float
    seconds: float
    cpu_s: float
    rss_max_bytes: int


def medians(rounds: Mapping[str, Sequence[Sample]]) -> dict[str, float]:
    """Median seconds of each contestant."""
    return {name: Spread.of(s.seconds for s in samples).median for name, samples in rounds.items()}


def contestant_json(samples: Sequence[Sample]) -> Json:
    return {
        "seconds": Spread.of(s.seconds for s in samples).as_json(),
        "startup_s": Spread.of(s.startup_s for s in samples).as_json(),
        "cpu_s": Spread.of(s.cpu_s for s in samples).as_json(),
        "rss_max_bytes": max(s.rss_max_bytes for s in samples),
    }


def known_counts(status: Mapping[str, object]) -> Aggregate:
    """The five counts of a Deployment's status; one that is not there is 0."""
    aggregate = status.get("aggregate")
    found = aggregate if isinstance(aggregate, dict) else {}
    return {name: value if isinstance(value := found.get(name), int) else 0 for name in COUNTS}


def digest(aggregates: Mapping[str, Aggregate], counts: Mapping[str, int]) -> str:
    """One short text for a whole folded state: equal exactly if every count of every Deployment and source is."""
    state = {"aggregates": aggregates, "counts": counts}
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=dict).encode()).hexdigest()[:16]


def difference(ours: Mapping[str, object], theirs: Mapping[str, object]) -> str:
    """The first name under which the two differ, and how; "" if they are equal."""
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            return f"{name}: {ours.get(name)} here, {theirs.get(name)} there"
    return ""
