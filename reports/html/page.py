"""One page for a run, complete in one file: no script, no font, no picture from anywhere else.

Everything shown comes from the wire or from processes under test. It is cut to a length, freed of unprintable
characters and escaped by the template engine; the content security policy forbids what should slip through.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.history import History, Verdict
from harness.history.records import VerdictOutcome
from reports.case import OUTCOME_WORDS, CaseResult, case_of
from reports.html.describe import Line, key_instants, line
from reports.html.model import BarLane, SpanLane, Style, Timeline
from reports.html.svg import gutter_svg, plot_svg, timeline_css
from reports.html.text import clip, plain, plural, seconds
from reports.html.timeline import timeline
from reports.results import write_atomically

EVIDENCE_MAX = 20
VERDICTS_MAX = 100
FACTS_MAX = 40
ARTEFACTS_MAX = 60
VERSIONS_MAX = 40
SHORT_MAX = 120
LONG_MAX = 600

_GLYPHS: dict[VerdictOutcome, str] = {"pass": "✓", "fail": "✕", "inconclusive": "?", "infra-error": "!"}
_LEGEND: dict[Style, str] = {
    "setup": "setup",
    "action": "action",
    "assert": "assert",
    "fault": "fault, or request held",
    "alive": "process alive",
    "busy": "recovering, with progress",
    "good": "converged",
    "other": "other phase",
}


@dataclass(frozen=True, slots=True)
class VerdictView:
    outcome: VerdictOutcome
    word: str
    glyph: str
    check: str
    reason: str
    evidence: tuple[Line, ...]
    more: int


@dataclass(frozen=True, slots=True)
class CaseView:
    """What the template shows of one case; `anchor` is ours, so ids that clash or attack do no harm."""

    anchor: str
    outcome: VerdictOutcome
    word: str
    glyph: str
    id: str
    title: str
    headline: str
    rerun: str
    defect: str
    duration: str
    facts: tuple[tuple[str, str], ...]
    verdicts: tuple[VerdictView, ...]
    verdicts_more: int
    has_timeline: bool
    gutter: Markup
    plot: Markup
    legend: tuple[tuple[str, str], ...]
    instants: tuple[Line, ...]
    instants_more: int
    artefacts: tuple[tuple[str, str, str], ...]


def render_case(history: History) -> str:
    """The page of one history that has no result file."""
    return render_run([case_of(history)], title="Fleetproof case")


def render_run(cases: Sequence[CaseResult], *, title: str = "Fleetproof run", rerun: str = "") -> str:
    """The page of a run. The same cases give the same bytes; `rerun` is the command that repeats them all."""
    counts = Counter(case.outcome for case in cases)
    metas = [case.meta for case in cases]
    versions: dict[str, str] = {}
    for meta in metas:
        versions.update(meta.versions if meta else {})
    started = sorted(meta.started_at for meta in metas if meta)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            title=clip(title, SHORT_MAX),
            css=Markup(timeline_css() + _page_css()),  # noqa: S704 - our own files, shipped in this package
            started=clip(started[0], SHORT_MAX) if started else "",
            verdict=_verdict_line(counts, len(cases)),
            counts=[(o, OUTCOME_WORDS[o], _GLYPHS[o], counts[o]) for o in OUTCOME_WORDS if counts[o]],
            versions=_pairs(sorted(versions.items()), VERSIONS_MAX),
            rerun=clip(rerun, LONG_MAX),
            cases=[_case_view(case, index) for index, case in enumerate(cases, start=1)],
        )
    )


def _page_css() -> str:
    return resources.files("reports.html").joinpath("templates", "page.css").read_text(encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("reports.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: object) -> object:
    """No string reaches the page with unprintable characters, whoever forgot to clip it."""
    return plain(value) if type(value) is str else value


def _verdict_line(counts: Mapping[VerdictOutcome, int], total: int) -> str:
    if not total:
        return "No case was recorded"
    if counts["pass"] == total:
        return "The case passed" if total == 1 else f"All {total:,} cases passed"
    told = [f"{counts[outcome]:,} {word.lower()}" for outcome, word in OUTCOME_WORDS.items() if counts[outcome]]
    return f"{plural(total, 'case')}: {', '.join(told)}"


def _pairs(pairs: Sequence[tuple[str, str]], limit: int) -> tuple[tuple[str, str], ...]:
    shown = tuple((clip(name, SHORT_MAX), clip(value, LONG_MAX)) for name, value in pairs[:limit])
    left_out = len(pairs) - limit
    return (*shown, ("…", f"{left_out:,} more")) if left_out > 0 else shown


def _case_view(case: CaseResult, index: int) -> CaseView:
    anchor = f"case-{index}"
    verdicts = case.history.of(Verdict)
    drawn = timeline(case.history)
    instants, instants_more = key_instants(case.history)
    return CaseView(
        anchor=anchor,
        outcome=case.outcome,
        word=OUTCOME_WORDS[case.outcome],
        glyph=_GLYPHS[case.outcome],
        id=clip(case.id, SHORT_MAX),
        title=clip(case.title, SHORT_MAX),
        headline=clip(case.headline, LONG_MAX),
        rerun=clip(case.rerun, LONG_MAX),
        defect=clip(case.defect or "", SHORT_MAX),
        duration="" if case.seconds is None else seconds(case.seconds),
        facts=_pairs(list(case.facts), FACTS_MAX),
        # What went wrong is read first; the sort is stable, so the rest keeps the checks' own order.
        verdicts=tuple(
            _verdict_view(case.history, verdict)
            for verdict in sorted(verdicts, key=lambda v: v.outcome == "pass")[:VERDICTS_MAX]
        ),
        verdicts_more=max(0, len(verdicts) - VERDICTS_MAX),
        has_timeline=bool(case.history.records),
        gutter=Markup(gutter_svg(drawn)),  # noqa: S704 - serialised by ElementTree, which escapes all text
        plot=Markup(plot_svg(drawn, anchor)),  # noqa: S704 - as above
        legend=_legend(drawn),
        instants=instants,
        instants_more=instants_more,
        artefacts=tuple(
            (clip(name, SHORT_MAX), href(path) or "", clip(path, SHORT_MAX))
            for name, path in list(case.artefacts.items())[:ARTEFACTS_MAX]
        ),
    )


def _verdict_view(history: History, verdict: Verdict) -> VerdictView:
    return VerdictView(
        outcome=verdict.outcome,
        word=OUTCOME_WORDS[verdict.outcome],
        glyph=_GLYPHS[verdict.outcome],
        check=clip(verdict.check, SHORT_MAX),
        reason=clip(verdict.reason, LONG_MAX),
        evidence=tuple(line(history, number) for number in verdict.evidence[:EVIDENCE_MAX]),
        more=max(0, len(verdict.evidence) - EVIDENCE_MAX),
    )


def _legend(drawn: Timeline) -> tuple[tuple[str, str], ...]:
    """(style, meaning) of what this timeline shows."""
    used = {span.style for lane in drawn.lanes if isinstance(lane, SpanLane) for span in lane.spans}
    entries: list[tuple[str, str]] = [(style, meaning) for style, meaning in _LEGEND.items() if style in used]
    if any(tick.cross for lane in drawn.lanes if isinstance(lane, SpanLane) for tick in lane.ticks):
        entries.append(("cross", "killed, or a fault not proved"))
    if any(isinstance(lane, BarLane) and any((*lane.up, *lane.down)) for lane in drawn.lanes):
        entries.append(("ok", "above the line: took effect (heights are square roots)"))
        entries.append(("delete", "below: delete marker"))
        entries.append(("bad", "below: failed, refused or unknown"))
    return tuple(entries)


def href(path: str) -> str | None:
    """The path as a relative link, or None if it would lead out of the run folder or into another scheme."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
        return None
    # The leading ./ keeps a name with a colon from being read as a scheme.
    return "./" + quote(path.encode("utf-8", "surrogatepass"), safe="/")


def write_report(path: Path, cases: Sequence[CaseResult], *, title: str = "Fleetproof run", rerun: str = "") -> None:
    """Writes the page atomically. Raises ReportError. Links to artefacts hold if `path` lies in the run folder."""
    write_atomically(path, render_run(cases, title=title, rerun=rerun).encode("utf-8"))
