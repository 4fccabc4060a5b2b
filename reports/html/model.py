"""The timeline as data, before anything is drawn: lanes of spans or of bars, and vertical lines across them.

    History -> Timeline -> SVG

`style` is one of a few names that timeline.css gives a colour; nothing from the wire ever becomes a style.
"""

from dataclasses import dataclass
from typing import Literal

Style = Literal[
    "setup", "action", "assert", "text", "fault", "alive", "busy", "good", "other", "ok", "bad", "delete", "note"
]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in one row. `progress` is (time, fraction 0 to 1) points, drawn as a rising area.

    `short` stands in for a `label` that does not fit.
    """

    start_s: float
    end_s: float
    row: int
    style: Style
    label: str
    detail: str
    open_end: bool = False
    short: str = ""
    progress: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """An instant in one row: a short stroke, or a cross where something was killed."""

    at_s: float
    row: int
    style: Style
    detail: str
    cross: bool = False


@dataclass(frozen=True, slots=True)
class SpanLane:
    """Rows of spans. `summary` is the lane in words; an empty lane says what it does not hold."""

    label: str
    notes: tuple[str, ...]
    summary: str
    rows: int
    spans: tuple[Span, ...]
    ticks: tuple[Tick, ...] = ()


@dataclass(frozen=True, slots=True)
class BarLane:
    """Events counted by bin: what went well rises above the base line, the rest hangs below it."""

    label: str
    notes: tuple[str, ...]
    summary: str
    up_name: str
    down_name: str
    bin_s: float
    up: tuple[int, ...]
    down: tuple[int, ...]
    up_style: Style = "ok"
    down_style: Style = "bad"


Lane = SpanLane | BarLane


@dataclass(frozen=True, slots=True)
class Flag:
    """A vertical line across all lanes with a label above them."""

    at_s: float
    label: str
    style: Style


@dataclass(frozen=True, slots=True)
class Timeline:
    end_s: float
    lanes: tuple[Lane, ...]
    flags: tuple[Flag, ...]
    flags_left_out: int

    @property
    def summary(self) -> str:
        """The whole picture in words, for those who do not see it."""
        told = "; ".join(f"{lane.label}: {lane.summary}" for lane in self.lanes)
        flags = ", ".join(f"{flag.label} at {flag.at_s:.3f} s" for flag in self.flags)
        return f"{self.end_s:.2f} seconds. {told}. Marked: {flags or 'nothing'}."
