"""What a simulation counts, in memory that does not grow: counters, and times of acknowledgements by size class."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.history.records import Json

_LEAST_S = 20e-6
_GROWTH = 1.1
_CLASSES = 160


class Times:
    """Durations in classes that grow by a tenth, from 20 us to over a minute: quantiles are right within 10 %."""

    def __init__(self) -> None:
        self.most_s = 0.0
        self._counts = [0] * _CLASSES

    def add(self, duration_s: float) -> None:
        self.most_s = max(self.most_s, duration_s)
        place = math.ceil(math.log(max(duration_s, _LEAST_S) / _LEAST_S, _GROWTH))
        self._counts[min(place, _CLASSES - 1)] += 1

    def quantile_s(self, share: float) -> float | None:
        """The upper bound of the class in which that share of all is reached; None if there is none."""
        total = sum(self._counts)
        if not total:
            return None
        reached = itertools.accumulate(self._counts)
        place = next(place for place, seen in enumerate(reached) if seen >= share * total)
        return min(_LEAST_S * _GROWTH**place, self.most_s)


@dataclass(slots=True)
class Figures:
    """Counted since the start. What is acknowledged is counted; `away` and `refused` are requests without success."""

    beats: int = 0
    reports: int = 0
    facts: int = 0
    deletions: int = 0
    reads: int = 0
    taken: int = 0
    changes_skipped: int = 0
    conflicts: int = 0
    away: int = 0
    refused: int = 0
    desired_refused: int = 0
    recalls: int = 0
    connections_lost: int = 0
    trouble: str | None = None
    acks: Times = field(default_factory=Times)
    acks_lately: Times = field(default_factory=Times)

    @property
    def errors(self) -> int:
        return self.away + self.refused

    def acked(self, after_s: float) -> None:
        self.acks.add(after_s)
        self.acks_lately.add(after_s)


@dataclass(frozen=True, slots=True)
class Progress:
    """One second of a simulation. `lag_s`: the slowest acknowledgement of it, or the age of one that is waited for."""

    at_s: float
    lines_up: int
    lines: int
    joined: int
    devices: int
    running: int
    beats_per_s: float
    reports_per_s: float
    errors: int
    lag_s: float
    trouble: str | None

    def __str__(self) -> str:
        trouble = f"  ({self.trouble[:100]})" if self.trouble else ""
        return (
            f"{self.at_s:5.0f} s  connected {self.lines_up}/{self.lines}  joined {self.joined}/{self.devices}  "
            f"beats {self.beats_per_s:.0f}/s  reports {self.reports_per_s:.0f}/s  deployments {self.running}  "
            f"errors {self.errors}  lag {self.lag_s * 1000:.1f} ms{trouble}"
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it. `unsettled`: devices that had not joined at the end, or waited for an acknowledgement."""

    where: str
    devices: int
    lines: int
    joined_ever: int
    unsettled: int
    seconds: float
    cpu_s: float
    rss_max_bytes: int
    figures: Figures

    @property
    def is_clean(self) -> bool:
        return not self.unsettled and not self.figures.refused

    def as_json(self) -> Json:
        f = self.figures
        return {
            "broker": self.where,
            "devices": self.devices,
            "connections": self.lines,
            "joined_ever": self.joined_ever,
            "unsettled": self.unsettled,
            "seconds": round(self.seconds, 3),
            "beats": f.beats,
            "beats_per_s": self._rate(f.beats),
            "reports": f.reports,
            "reports_per_s": self._rate(f.reports),
            "reports_deleted": f.deletions,
            "facts": f.facts,
            "reads": f.reads,
            "desired_taken": f.taken,
            "desired_refused": f.desired_refused,
            "state_changes_skipped": f.changes_skipped,
            "conflicts": f.conflicts,
            "unanswered": f.away,
            "refused": f.refused,
            "connections_lost": f.connections_lost,
            "republish_requests": f.recalls,
            "ack_p50_ms": _ms(f.acks.quantile_s(0.5)),
            "ack_p99_ms": _ms(f.acks.quantile_s(0.99)),
            "ack_max_ms": _ms(f.acks.most_s),
            "cpu_s": round(self.cpu_s, 3),
            "cpu_cores": round(self.cpu_s / self.seconds, 3) if self.seconds else 0.0,
            "rss_max_mib": round(self.rss_max_bytes / 2**20, 1),
            "last_trouble": f.trouble,
        }

    def rows(self) -> Sequence[tuple[str, str]]:
        return [(name.replace("_", " "), str(value)) for name, value in self.as_json().items() if value is not None]

    def _rate(self, count: int) -> float:
        return round(count / self.seconds, 2) if self.seconds else 0.0


def _ms(duration_s: float | None) -> float | None:
    return None if duration_s is None else round(duration_s * 1000, 3)
