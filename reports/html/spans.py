"""Lanes of what lasts: steps, faults, processes, recovery. Pure: History -> SpanLane."""

import signal
from collections.abc import Sequence

from harness.history import Fault, Gate, History, Process, Recovery, SourceProgress, Step
from reports.html.labels import pack_rows
from reports.html.model import Span, SpanLane, Style, Tick
from reports.html.text import clip, plural, seconds

ROWS_MAX = 8
SPANS_MAX = 400
NAME_MAX = 60
DETAIL_MAX = 200
PROGRESS_POINTS_MAX = 120

_PHASE_STYLE: dict[str, Style] = {"setup": "setup", "action": "action", "assert": "assert"}


def steps_lane(history: History, end_s: float) -> SpanLane:
    """Row 0: a band for each run of steps of one phase. Row 1: each step's own words."""
    steps = history.of(Step)[:SPANS_MAX]
    ends = [step.at_s for step in steps[1:]] + [end_s]
    bands: list[Span] = []
    texts: list[Span] = []
    for step, until_s in zip(steps, ends, strict=False):
        word = step.phase.upper()
        detail = f"{word} at {seconds(step.at_s)}: {clip(step.text, DETAIL_MAX)}"
        texts.append(Span(step.at_s, until_s, 1, "text", clip(step.text, NAME_MAX), detail))
        if bands and bands[-1].label == word:
            last = bands.pop()
            bands.append(Span(last.start_s, until_s, 0, last.style, word, _lasted(word, last.start_s, until_s)))
        else:
            lasted = _lasted(word, step.at_s, until_s)
            bands.append(Span(step.at_s, until_s, 0, _PHASE_STYLE[step.phase], word, lasted))
    summary = ", then ".join(band.detail for band in bands[:ROWS_MAX]) or "none recorded"
    return SpanLane("Steps", () if steps else ("none recorded",), summary, 2 if steps else 1, (*bands, *texts))


def _lasted(what: str, start_s: float, end_s: float) -> str:
    return f"{what} from {seconds(start_s)} to {seconds(end_s)}"


def faults_lane(history: History, end_s: float) -> SpanLane:
    """A span from applied to healed, a tick for each proof; requests held at the gate likewise."""
    opened: dict[tuple[str, str], float] = {}
    found: list[tuple[float, float, str, str, bool]] = []
    proofs: list[tuple[float, tuple[str, str], str, bool]] = []
    for record in history.records:
        match record:
            case Fault(event="applied"):
                opened.setdefault((record.name, record.target), record.at_s)
            case Fault(event="healed"):
                start_s = opened.pop((record.name, record.target), record.at_s)
                found.append((start_s, record.at_s, record.name, record.target, False))
            case Fault():
                word = f"{record.event} at {seconds(record.at_s)}: {clip(record.detail, DETAIL_MAX)}"
                proofs.append((record.at_s, (record.name, record.target), word, record.event == "unproved"))
            case Gate(event="held" | "dropped"):
                key = ("gate", f"{record.rule} #{record.ordinal}")
                if record.event == "held":
                    opened.setdefault(key, record.at_s)
                else:
                    # Dropped after being held, or dropped at once: either way its stay ends here.
                    found.append((opened.pop(key, record.at_s), record.at_s, key[0], f"{key[1]} dropped", False))
            case Gate(event="released"):
                key = ("gate", f"{record.rule} #{record.ordinal}")
                found.append((opened.pop(key, record.at_s), record.at_s, *key, False))
            case _:
                pass
    found += [(start_s, end_s, *key, True) for key, start_s in opened.items()]
    return _packed_faults(sorted(found), proofs)


def _packed_faults(
    found: Sequence[tuple[float, float, str, str, bool]],
    proofs: Sequence[tuple[float, tuple[str, str], str, bool]],
) -> SpanLane:
    if not found and not proofs:
        return SpanLane("Faults", ("none injected",), "none injected", 1, ())
    rows = pack_rows([(start, end) for start, end, *_ in found], ROWS_MAX)
    spans: list[Span] = []
    row_of: dict[tuple[str, str], int] = {}
    left_out = 0
    for (start_s, until_s, name, target, still), row in zip(found, rows, strict=True):
        if row is None or len(spans) >= SPANS_MAX:
            left_out += 1
            continue
        row_of[name, target] = row
        label = f"{clip(name, NAME_MAX)} · {clip(target, NAME_MAX)}"
        detail = _lasted(label, start_s, until_s) + (", never healed" if still else "")
        spans.append(Span(start_s, until_s, row, "fault", label, detail, open_end=still))
    ticks = tuple(
        Tick(
            at_s, row_of.get(key, 0), "bad" if unproved else "note", f"{clip(key[0], NAME_MAX)} {word}", cross=unproved
        )
        for at_s, key, word, unproved in proofs[:SPANS_MAX]
    )
    notes = [plural(len(found), "fault")]
    if unproved := sum(p[3] for p in proofs):
        notes.append(f"{unproved:,} unproved")
    if left_out:
        notes.append(f"+{left_out:,} not drawn")
    summary = "; ".join(span.detail for span in spans[:ROWS_MAX])
    used = 1 + max((span.row for span in spans), default=0)
    return SpanLane("Faults", tuple(notes), summary or "proofs only", used, tuple(spans), ticks)


def exit_word(process: Process) -> str:
    """How a process ended, as a person says it."""
    code = process.exit_code
    if code is None:
        return "exited"
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"


def processes_lane(history: History, end_s: float) -> SpanLane:
    """One life a span, from spawned to exited, the operators first; signals are ticks, a SIGKILL is a cross."""
    lives: dict[str, list[tuple[float, float, int, str]]] = {}
    alive: dict[tuple[str, int], float] = {}
    moments: list[tuple[float, str, str, bool]] = []
    for record in history.of(Process):
        key = (record.name, record.pid)
        lives.setdefault(record.name, [])
        if record.event == "spawned":
            alive[key] = record.at_s
        elif record.event == "exited":
            start_s = alive.pop(key, 0.0)
            lives[record.name].append((start_s, record.at_s, record.pid, exit_word(record)))
        else:
            word = record.signal or "signal" if record.event == "signalled" else "ready"
            killed = record.signal == "SIGKILL"
            moments.append((record.at_s, record.name, f"{clip(word, NAME_MAX)} at {seconds(record.at_s)}", killed))
            alive.setdefault(key, record.at_s if record.event == "ready" else 0.0)
    for (name, pid), start_s in alive.items():
        lives[name].append((start_s, end_s, pid, "alive at the end"))
    return _packed_lives(lives, moments)


def _packed_lives(
    lives: dict[str, list[tuple[float, float, int, str]]], moments: Sequence[tuple[float, str, str, bool]]
) -> SpanLane:
    spans: list[Span] = []
    row_of: dict[str, int] = {}
    taken = 0
    hidden = 0
    # A stable sort: operators first, then in the order of their first appearance.
    for name in sorted(lives, key=lambda n: "operator" not in n):
        of_name = sorted(lives[name])
        rows = pack_rows([(start, end) for start, end, *_ in of_name], ROWS_MAX - taken)
        row_of[name] = taken
        for (start_s, until_s, pid, ending), row in zip(of_name, rows, strict=True):
            if row is None or len(spans) >= SPANS_MAX:
                hidden += 1
                continue
            label = f"{clip(name, NAME_MAX)} · pid {pid}"
            detail = f"{_lasted(label, start_s, until_s)}, {ending}"
            spans.append(Span(start_s, until_s, taken + row, "alive", label, detail))
        taken = 1 + max((span.row for span in spans), default=taken - 1)
    ticks = tuple(
        Tick(at_s, row_of[name], "bad" if killed else "note", f"{clip(name, NAME_MAX)}: {word}", cross=killed)
        for at_s, name, word, killed in moments[:SPANS_MAX]
        if row_of[name] < ROWS_MAX
    )
    notes = [plural(len(spans) + hidden, "life", "lives")] if spans else ["none recorded"]
    if hidden:
        notes.append(f"+{hidden:,} not drawn")
    summary = "; ".join(span.detail for span in spans[:ROWS_MAX]) or "none recorded"
    return SpanLane("Processes", tuple(notes), summary, max(1, taken), tuple(spans), ticks)


def fraction(sources: dict[str, SourceProgress]) -> float:
    """How much of a cold start is done, 0 to 1: the mean over its sources, so that a small one counts as much."""
    if not sources:
        return 0.0
    return sum(_fraction(source) for source in sources.values()) / len(sources)


def _fraction(source: SourceProgress) -> float:
    if source.current:
        return 1.0
    if not source.expected or source.expected < 0:
        return 0.0
    return min(1.0, max(0.0, source.seen / source.expected))


def recovery_lane(history: History, end_s: float) -> SpanLane:
    """A span for each phase an operator reported, one row an operator, with its progress as a rising area."""
    exits = [(p.at_s, p.name) for p in history.of(Process) if p.event == "exited"]
    by_process: dict[str, list[Recovery]] = {}
    for record in history.of(Recovery):
        by_process.setdefault(record.process, []).append(record)
    spans: list[Span] = []
    for row, (name, records) in enumerate(list(by_process.items())[:ROWS_MAX]):
        deaths = [at_s for at_s, exited in exits if exited == name]
        prefix = f"{clip(name, NAME_MAX)} · " if len(by_process) > 1 else ""
        spans += _phases(records, deaths, end_s, row, prefix)
    notes = [] if spans else ["none reported"]
    if len(by_process) > ROWS_MAX:
        notes.append(f"+{len(by_process) - ROWS_MAX:,} not drawn")
    summary = "; ".join(span.detail for span in spans[:ROWS_MAX]) or "none reported"
    return SpanLane("Recovery", tuple(notes), summary, max(1, min(len(by_process), ROWS_MAX)), tuple(spans))


def _phases(records: Sequence[Recovery], deaths: Sequence[float], end_s: float, row: int, prefix: str) -> list[Span]:
    groups: list[list[Recovery]] = []
    for record in records:
        died = groups and any(groups[-1][-1].at_s < at_s <= record.at_s for at_s in deaths)
        if groups and groups[-1][-1].phase == record.phase and not died:
            groups[-1].append(record)
        else:
            groups.append([record])
    spans: list[Span] = []
    for index, group in enumerate(groups[:SPANS_MAX]):
        start_s = group[0].at_s
        follows_s = groups[index + 1][0].at_s if index + 1 < len(groups) else end_s
        # What a process said of itself ends when the process does.
        until_s = min((at_s for at_s in deaths if start_s < at_s < follows_s), default=follows_s)
        spans.append(_phase(group, start_s, until_s, row, prefix))
    return spans


def _phase(group: Sequence[Recovery], start_s: float, until_s: float, row: int, prefix: str) -> Span:
    phase = clip(group[0].phase, NAME_MAX)
    converged = phase.casefold() == "converged"
    recovering = phase.casefold() == "recovering"
    lasted = "" if converged else seconds(until_s - start_s)
    label = f"{prefix}{phase} {lasted}".rstrip()
    points: tuple[tuple[float, float], ...] = ()
    if recovering:
        stride = max(1, len(group) // PROGRESS_POINTS_MAX)
        kept = [*group[::stride], group[-1]]
        points = tuple((record.at_s, round(fraction(record.sources), 3)) for record in kept)
    told = ", ".join(
        f"{clip(name, NAME_MAX)} {source.seen:,}/{'?' if source.expected is None else f'{source.expected:,}'}"
        for name, source in sorted(group[-1].sources.items())[:ROWS_MAX]
    )
    detail = _lasted(f"{prefix}{phase}", start_s, until_s) + (f" ({told})" if told else "")
    style: Style = "good" if converged else "busy" if recovering else "other"
    return Span(start_s, until_s, row, style, label, detail, progress=points, short=lasted)
