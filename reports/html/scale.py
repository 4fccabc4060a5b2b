"""Where a time lands on the x axis: round ticks, round bins, and the map from seconds to pixels. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_FACTORS = (1, 2, 5, 10)
END_S_MIN = 0.001


def nice_step(span: float, count_max: int) -> float:
    """The smallest 1, 2 or 5 times a power of ten that cuts `span` into at most `count_max` parts."""
    raw = max(span, END_S_MIN) / count_max
    power = 10.0 ** math.floor(math.log10(raw))
    for factor in _FACTORS:
        # The tolerance keeps 0.2 from being taken for 0.2000000001.
        if factor * power >= raw * (1 - 1e-9):
            return float(f"{factor * power:.12g}")
    return float(f"{10 * power:.12g}")


def ticks(end_s: float, count_max: int = 12) -> tuple[float, ...]:
    """Round instants from 0 to `end_s`."""
    step = nice_step(end_s, count_max)
    return tuple(float(f"{i * step:.12g}") for i in range(int(end_s / step * (1 + 1e-9)) + 1))


def tick_label(value: float) -> str:
    return f"{value:,.12g}" if abs(value) < 1e15 else f"{value:.3g}"  # noqa: PLR2004 - no run lasts 30 million years


@dataclass(frozen=True, slots=True)
class Scale:
    """Seconds to pixels. Instants outside the run (a stamp of another clock) stick to its edges."""

    end_s: float
    width_px: float

    def x(self, at_s: float) -> float:
        inside = min(max(at_s, 0.0), self.end_s)
        return round(inside / self.end_s * self.width_px, 1)


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal slices of the run, to count events in."""

    width_s: float
    count: int

    @classmethod
    def over(cls, end_s: float, count_max: int) -> "Bins":
        width_s = nice_step(end_s, count_max)
        return cls(width_s, max(1, math.ceil(end_s / width_s * (1 - 1e-9))))

    def counts(self, times_s: Iterable[float]) -> tuple[int, ...]:
        found = [0] * self.count
        for at_s in times_s:
            found[int(min(max(at_s / self.width_s, 0), self.count - 1))] += 1
        return tuple(found)
