"""Lanes to SVG elements. ElementTree does the escaping: text enters as text or as an attribute, never as markup."""

import math
from xml.etree import ElementTree as ET

from reports.html.labels import fitted, text_width_px
from reports.html.model import BarLane, Lane, Span, SpanLane, Tick
from reports.html.scale import Scale, tick_label

ROW_PX = 20.0
BAR_LANE_PX = 56.0
EMPTY_LANE_PX = 22.0
LANE_GAP_PX = 12.0
NOTE_PX = 14.0
GUTTER_INSET_PX = 12.0
TEXT_PX = 11.0
SPAN_PX = 16.0
_PAD = 5.0
# One event among hundreds must still be seen.
_BAR_MIN_PX = 3.0


def number(value: float) -> str:
    """Shortest form of a pixel value: a page holds thousands of them."""
    return f"{value:.1f}".removesuffix(".0")


def add(parent: ET.Element, tag: str, css: str = "", text: str = "", **attributes: float | str) -> ET.Element:
    """A child element. Numbers are pixels; `_` in a name stands for `-`."""
    plain = {k.replace("_", "-"): v if isinstance(v, str) else number(v) for k, v in attributes.items()}
    element = ET.SubElement(parent, tag, {"class": css, **plain} if css else plain)
    element.text = text or None
    return element


def hover(element: ET.Element, detail: str) -> None:
    """What a browser shows when the pointer rests on the element."""
    ET.SubElement(element, "title").text = detail


def lane_height(lane: Lane) -> float:
    if isinstance(lane, SpanLane):
        rows = lane.rows * ROW_PX if lane.spans or lane.ticks else EMPTY_LANE_PX
        return max(rows, EMPTY_LANE_PX + NOTE_PX * len(lane.notes) if lane.spans else rows)
    return BAR_LANE_PX if _peak(lane) else EMPTY_LANE_PX


def _peak(lane: BarLane) -> int:
    return max(*lane.up, *lane.down)


def draw_gutter(parent: ET.Element, lane: Lane, y: float) -> None:
    """The lane's name and its notes, left of the plot."""
    add(parent, "text", "tl-name", lane.label, x=GUTTER_INSET_PX, y=y + 13)
    for index, note in enumerate(lane.notes):
        # A lane without content says so beside its name, not below it.
        beside = lane_height(lane) <= EMPTY_LANE_PX
        x = text_width_px(lane.label, TEXT_PX) + 12 if beside else 0
        add(parent, "text", "tl-note", note, x=GUTTER_INSET_PX + x, y=y + 13 + (0 if beside else NOTE_PX * (index + 1)))


def draw_lane(parent: ET.Element, lane: Lane, y: float, scale: Scale) -> None:
    group = add(parent, "g", transform=f"translate(0 {number(y)})")
    if isinstance(lane, SpanLane):
        _draw_spans(group, lane, scale)
    elif _peak(lane):
        _draw_bars(group, lane, scale)
    else:
        add(group, "path", "tl-base", d=f"M0 {number(EMPTY_LANE_PX - 4)}H{number(scale.width_px)}")


def _draw_spans(group: ET.Element, lane: SpanLane, scale: Scale) -> None:
    if not lane.spans and not lane.ticks:
        add(group, "path", "tl-base", d=f"M0 {number(EMPTY_LANE_PX - 4)}H{number(scale.width_px)}")
    by_row: dict[int, list[Span]] = {}
    for span in lane.spans:
        by_row.setdefault(span.row, []).append(span)
    for row, spans in sorted(by_row.items()):
        ordered = sorted(spans, key=lambda s: (s.start_s, s.end_s))
        nexts = [scale.x(span.start_s) for span in ordered[1:]] + [scale.width_px]
        for span, free_to in zip(ordered, nexts, strict=True):
            _draw_span(group, span, row * ROW_PX, scale, free_to)
    for tick in lane.ticks:
        _draw_tick(group, tick, scale)


def _draw_span(group: ET.Element, span: Span, y: float, scale: Scale, free_to: float) -> None:
    x, end = scale.x(span.start_s), scale.x(span.end_s)
    width = max(end - x, 2.0)
    held = add(group, "g", f"tl-span s-{span.style}")
    hover(held, span.detail)
    add(held, "rect", "tl-open" if span.open_end else "", x=x, y=y + 1, width=width, height=SPAN_PX, rx=2)
    if span.progress:
        add(held, "path", "tl-area", d=_area(span, y, scale))
    label, room = span.label, width - 2 * _PAD
    if text_width_px(label, TEXT_PX) > room and text_width_px(span.short, TEXT_PX) <= room:
        label = span.short or label
    # A label that does not fit inside may stand behind a short span, if nothing else is there.
    inside = fitted(label, TEXT_PX, room)
    behind = fitted(label, TEXT_PX, free_to - end - 3 * _PAD) if inside != label and span.style != "text" else ""
    if len(behind) > len(inside):
        add(held, "text", "", behind, x=end + 2 * _PAD, y=y + 13)
    elif inside:
        add(held, "text", "", inside, x=x + _PAD, y=y + 13)


def _area(span: Span, y: float, scale: Scale) -> str:
    """Progress as steps, for it is known only at the instants it was asked for."""
    bottom = y + 1 + SPAN_PX
    path = [f"M{number(scale.x(span.progress[0][0]))} {number(bottom)}"]
    for at_s, done in span.progress:
        path.append(f"H{number(scale.x(at_s))}V{number(bottom - done * SPAN_PX)}")
    path.append(f"H{number(scale.x(span.end_s))}V{number(bottom)}Z")
    return "".join(path)


def _draw_tick(group: ET.Element, tick: Tick, scale: Scale) -> None:
    x, y = scale.x(tick.at_s), tick.row * ROW_PX + 1
    middle = y + SPAN_PX / 2
    if tick.cross:
        d = f"M{number(x - 4)} {number(middle - 4)}l8 8m0 -8l-8 8"
    else:
        # Two notches, so that a label between them stays legible.
        d = f"M{number(x)} {number(y)}v4m0 {number(SPAN_PX - 8)}v4"
    hover(add(group, "path", f"tl-tick s-{tick.style}" + (" tl-cross" if tick.cross else ""), d=d), tick.detail)


def _draw_bars(group: ET.Element, lane: BarLane, scale: Scale) -> None:
    tall = BAR_LANE_PX - 4
    # Heights are square roots: a burst of thousands must not flatten the steady hundreds beside it.
    up_max, down_max = math.sqrt(max(lane.up)), math.sqrt(max(lane.down))
    # One unit is as tall below the line as above it; a side that has anything at all gets room to be seen.
    down_px = 0.0 if not down_max else tall if not up_max else max(8.0, tall * down_max / (up_max + down_max))
    base = round(tall - min(down_px, tall if not up_max else tall - 8.0), 1)
    add(group, "path", "tl-base", d=f"M0 {number(base)}H{number(scale.width_px)}")
    unit = min(side for side in (base / up_max if up_max else 1e9, (tall - base) / down_max if down_max else 1e9))
    ups = add(group, "g", f"tl-bar s-{lane.up_style}")
    downs = add(group, "g", f"tl-bar s-{lane.down_style}")
    for index, (up, down) in enumerate(zip(lane.up, lane.down, strict=True)):
        if not up and not down:
            continue
        start_s, until_s = index * lane.bin_s, min((index + 1) * lane.bin_s, scale.end_s)
        x = scale.x(start_s)
        width = max(scale.x(until_s) - x, 1.0)
        told = f"{tick_label(round(start_s, 9))} to {tick_label(round(until_s, 3))} s: {up:,} {lane.up_name}"
        told += f", {down:,} {lane.down_name}" if down else ""
        if up:
            tall_px = max(math.sqrt(up) * unit, _BAR_MIN_PX)
            hover(add(ups, "rect", x=x, y=base - tall_px, width=width, height=tall_px), told)
        if down:
            tall_px = max(math.sqrt(down) * unit, _BAR_MIN_PX)
            hover(add(downs, "rect", x=x, y=base, width=width, height=tall_px), told)
