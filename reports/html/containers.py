"""The lane of containers: when each ran, and how it ended. Pure: History -> SpanLane."""

from harness.history import ContainerEvent, History, Process
from reports.html.labels import pack_rows
from reports.html.model import Span, SpanLane
from reports.html.spans import DETAIL_MAX, NAME_MAX, SPANS_MAX
from reports.html.text import clip, plural, seconds

ROWS_MAX = 12


def containers_lane(history: History, end_s: float) -> SpanLane | None:
    """A span from `start` to `died`, or to the end of its host's power. None if no container ever was."""
    if not history.of(ContainerEvent):
        return None
    runs = _runs(history, end_s)
    rows = pack_rows([(span.start_s, span.end_s) for span in runs], ROWS_MAX)
    placed = [
        Span(span.start_s, span.end_s, row, span.style, span.label, span.detail, open_end=span.open_end)
        for span, row in zip(runs, rows, strict=True)
        if row is not None
    ][:SPANS_MAX]
    notes = [plural(len(runs), "run")] if runs else ["none ran"]
    if len(runs) > len(placed):
        notes.append(f"+{len(runs) - len(placed):,} not drawn")
    summary = "; ".join(span.detail for span in placed[:ROWS_MAX]) or "none ran"
    used = 1 + max((span.row for span in placed), default=0)
    return SpanLane("Containers", tuple(notes), summary, used, tuple(placed))


def _runs(history: History, end_s: float) -> list[Span]:
    """In the order of their starts, all in row 0."""
    running: dict[tuple[str, str], ContainerEvent] = {}
    found: list[Span] = []
    for record in history.records:
        match record:
            case ContainerEvent(event="start"):
                running.setdefault((record.host, record.id), record)
            case ContainerEvent(event="died"):
                if (began := running.pop((record.host, record.id), None)) is not None:
                    found.append(_run(began, record.happened_s, f"exit code {record.exit_code}"))
            case Process(event="exited"):
                lost = [key for key in running if key[0] == record.name]
                found.extend(_run(running.pop(key), record.at_s, "its host lost power") for key in lost)
            case _:
                pass
    found += [_run(began, end_s, "runs at the end", open_end=True) for began in running.values()]
    return sorted(found, key=lambda span: span.start_s)


def _run(began: ContainerEvent, until_s: float, ending: str, *, open_end: bool = False) -> Span:
    label = f"{clip(began.name, NAME_MAX)} · {clip(began.host, NAME_MAX)}"
    start_s = began.happened_s
    lasted = f"{label} from {seconds(start_s)} to {seconds(until_s)}, {ending}, {began.image}, {began.id}"
    return Span(start_s, max(start_s, until_s), 0, "alive", label, clip(lasted, DETAIL_MAX), open_end=open_end)
