"""Text and bars that must not run into each other: estimated widths, and greedy packing into rows. Pure."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

_NARROW_EM = 0.56
_WIDE_EM = 1.05
GAP_PX = 6.0


def text_width_px(text: str, size_px: float) -> float:
    """A slight overestimate of a line's width in a sans-serif face: no font is at hand to ask."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return (wide * _WIDE_EM + (len(text) - wide) * _NARROW_EM) * size_px


def fitted(text: str, size_px: float, room_px: float) -> str:
    """The text, cut with an ellipsis to the room there is; empty if not even a few letters fit."""
    if text_width_px(text, size_px) <= room_px:
        return text
    keep = len(text)
    while keep > 0 and text_width_px(text[:keep] + "…", size_px) > room_px:
        keep -= 1
    return text[:keep].rstrip() + "…" if keep >= 3 else ""  # noqa: PLR2004 - fewer letters say nothing


def pack_rows(intervals: Sequence[tuple[float, float]], rows_max: int) -> tuple[int | None, ...]:
    """For each (start, end) the first row that is free from its start on; None where `rows_max` rows are taken."""
    free_from: list[float] = []
    rows: list[int | None] = [None] * len(intervals)
    for index in sorted(range(len(intervals)), key=lambda i: intervals[i]):
        start, end = intervals[index]
        row = next((r for r, free in enumerate(free_from) if free <= start), None)
        if row is None and len(free_from) < rows_max:
            row = len(free_from)
            free_from.append(end)
        if row is not None:
            free_from[row] = end
            rows[index] = row
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the label of a vertical line goes: in `row`, from `x_px` on."""

    row: int
    x_px: float


def place_labels(
    anchors: Sequence[tuple[float, float]], plot_width_px: float, rows_max: int
) -> tuple[Placed | None, ...]:
    """For each (x of the line, width of the label), in order of x, a place free of other labels.

    A label stands right of its line, or left of it where the plot ends. None: no row has room; the line stays bare.
    """
    spans: list[tuple[float, float]] = []
    for x, width in anchors:
        start = x + 3 if x + 3 + width <= plot_width_px else max(0.0, x - 3 - width)
        spans.append((start, start + width + GAP_PX))
    rows = pack_rows(spans, rows_max)
    return tuple(None if row is None else Placed(row, spans[i][0]) for i, row in enumerate(rows))
