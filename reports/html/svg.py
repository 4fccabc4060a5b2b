"""A timeline as SVG: a gutter with the lanes' names, and a plot with a shared time axis.

On the page the two are drawings of their own, so that the names stay in sight while a narrow screen scrolls the
plot; as a file of its own they stand side by side. Both come from the same elements.
"""

from importlib import resources
from xml.etree import ElementTree as ET

from reports.html.draw import (
    GUTTER_INSET_PX,
    LANE_GAP_PX,
    TEXT_PX,
    add,
    draw_gutter,
    draw_lane,
    hover,
    lane_height,
    number,
)
from reports.html.labels import Placed, place_labels, text_width_px
from reports.html.model import Timeline
from reports.html.scale import Scale, tick_label, ticks

GUTTER_PX = 150.0
PLOT_PX = 1000.0
EDGE_PX = 8.0
AXIS_PX = 30.0
FLAG_ROW_PX = 14.0
FLAG_ROWS_MAX = 5
_SVG = "http://www.w3.org/2000/svg"


def timeline_css() -> str:
    return resources.files("reports.html").joinpath("templates", "timeline.css").read_text(encoding="utf-8")


def gutter_svg(timeline: Timeline) -> str:
    """The left drawing. Hidden from screen readers: the plot's description names every lane."""
    root = _root(GUTTER_PX, _height(timeline))
    root.set("aria-hidden", "true")
    _draw_names(root, timeline)
    return _text(root)


def plot_svg(timeline: Timeline, name: str) -> str:
    """The right drawing; `name` makes the ids of its title and description unique on the page."""
    root = _root(PLOT_PX + 2 * EDGE_PX, _height(timeline))
    _describe(root, timeline, name)
    _draw_plot(add(root, "g", transform=f"translate({number(EDGE_PX)} 0)"), timeline)
    return _text(root)


def standalone_svg(timeline: Timeline) -> str:
    """One drawing with its own style sheet, readable as a file."""
    height = _height(timeline) + 2 * EDGE_PX
    width = GUTTER_PX + PLOT_PX + 4 * EDGE_PX
    root = _root(width, height)
    root.set("xmlns", _SVG)
    _describe(root, timeline, "timeline")
    add(root, "style", text=timeline_css())
    add(root, "rect", "tl-paper", x=0, y=0, width=width, height=height)
    _draw_names(add(root, "g", transform=f"translate({number(2 * EDGE_PX)} {number(EDGE_PX)})"), timeline)
    left = GUTTER_PX + 3 * EDGE_PX
    _draw_plot(add(root, "g", transform=f"translate({number(left)} {number(EDGE_PX)})"), timeline)
    return _text(root)


def _root(width: float, height: float) -> ET.Element:
    box = f"0 0 {number(width)} {number(height)}"
    return ET.Element("svg", {"class": "tl", "viewBox": box, "width": number(width), "height": number(height)})


def _text(root: ET.Element) -> str:
    return ET.tostring(root, encoding="unicode")


def _describe(root: ET.Element, timeline: Timeline, name: str) -> None:
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-desc")
    add(root, "title", text="Timeline", id=f"{name}-title")
    add(root, "desc", text=timeline.summary, id=f"{name}-desc")


def _scale(timeline: Timeline) -> Scale:
    return Scale(timeline.end_s, PLOT_PX)


def _places(timeline: Timeline) -> tuple[Placed | None, ...]:
    x = _scale(timeline).x
    anchors = [(x(flag.at_s), text_width_px(flag.label, TEXT_PX)) for flag in timeline.flags]
    return place_labels(anchors, PLOT_PX, FLAG_ROWS_MAX)


def _top(timeline: Timeline) -> float:
    """Where the lanes begin: below the rows that the flags' labels take."""
    return FLAG_ROW_PX * (1 + max((place.row for place in _places(timeline) if place), default=-1)) + 6


def _lane_tops(timeline: Timeline) -> tuple[float, ...]:
    """The top of each lane, and last the bottom of them all."""
    tops = [_top(timeline)]
    for lane in timeline.lanes:
        tops.append(tops[-1] + lane_height(lane) + LANE_GAP_PX)
    return tuple(tops)


def _height(timeline: Timeline) -> float:
    return _lane_tops(timeline)[-1] + AXIS_PX


def _draw_names(parent: ET.Element, timeline: Timeline) -> None:
    for lane, y in zip(timeline.lanes, _lane_tops(timeline), strict=False):
        draw_gutter(parent, lane, y)
    if timeline.flags_left_out:
        add(parent, "text", "tl-note", f"+{timeline.flags_left_out:,} marks not drawn", x=GUTTER_INSET_PX, y=11)


def _draw_plot(parent: ET.Element, timeline: Timeline) -> None:
    scale, tops = _scale(timeline), _lane_tops(timeline)
    top, bottom = tops[0], tops[-1]
    marks = ticks(timeline.end_s)
    grid = "".join(f"M{number(scale.x(at_s))} {number(top)}V{number(bottom)}" for at_s in marks)
    add(parent, "path", "tl-grid", d=grid)
    for y in tops[1:-1]:
        add(parent, "path", "tl-rule", d=f"M0 {number(y - LANE_GAP_PX / 2)}H{number(PLOT_PX)}")
    for lane, y in zip(timeline.lanes, tops, strict=False):
        draw_lane(parent, lane, y, scale)
    _draw_flags(parent, timeline, scale, bottom)
    _draw_axis(parent, scale, marks, bottom)


def _draw_flags(parent: ET.Element, timeline: Timeline, scale: Scale, bottom: float) -> None:
    flags = tuple(zip(timeline.flags, _places(timeline), strict=True))
    for flag, place in flags:
        x = scale.x(flag.at_s)
        top = place.row * FLAG_ROW_PX + 2 if place else _top(timeline)
        stroke = add(parent, "path", f"tl-flag s-{flag.style}", d=f"M{number(x)} {number(top)}V{number(bottom)}")
        hover(stroke, f"{flag.label} at {flag.at_s:.3f} s")
    # Labels last: each covers the lines that pass behind it.
    for flag, place in flags:
        if place:
            y = place.row * FLAG_ROW_PX + 11
            add(parent, "text", f"tl-sign s-{flag.style}", flag.label, x=place.x_px, y=y)


def _draw_axis(parent: ET.Element, scale: Scale, marks: tuple[float, ...], y: float) -> None:
    add(parent, "path", "tl-axis", d=f"M0 {number(y)}H{number(scale.width_px)}")
    for at_s in marks:
        x = scale.x(at_s)
        last = at_s == marks[-1]
        end = x > scale.width_px - text_width_px(tick_label(at_s), TEXT_PX)
        label = tick_label(at_s) + (" s" if last else "")
        add(parent, "text", "tl-note" + (" tl-end" if end else " tl-mid"), label, x=x, y=y + 16)
