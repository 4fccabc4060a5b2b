"""A run as one self-contained HTML page with a timeline for each case.

History -> timeline (data) -> SVG -> page
"""

from harness.history import History
from reports.html.page import render_case, render_run, write_report
from reports.html.svg import standalone_svg
from reports.html.timeline import timeline

__all__ = ["render_case", "render_run", "render_timeline", "write_report"]


def render_timeline(history: History) -> str:
    """The timeline of a history as an SVG file of its own."""
    return standalone_svg(timeline(history))
