"""One case as a reader sees it: what was shown, how it was judged, and the history that backs it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.history import History, HistoryError, Meta, Verdict, VerdictOutcome, worst

OUTCOME_WORDS: dict[VerdictOutcome, str] = {
    "pass": "PASS",
    "fail": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    "infra-error": "INFRA ERROR",
}


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One judged case. `artefacts` maps a name to a path relative to the run folder, where the report lies too."""

    id: str
    title: str
    outcome: VerdictOutcome
    headline: str
    facts: Sequence[tuple[str, str]]
    history: History
    artefacts: Mapping[str, str] = field(default_factory=dict)
    rerun: str = ""
    scenario: str = ""
    case: str = ""
    defect: str | None = None
    seconds: float | None = None

    @property
    def meta(self) -> Meta | None:
        """The history's first line, or None if the history was lost."""
        try:
            return self.history.meta
        except HistoryError:
            return None


def case_of(history: History) -> CaseResult:
    """A case from its history alone, for a history that has no result file (judged again, or sent by somebody)."""
    verdicts = history.of(Verdict)
    held = sum(v.outcome == "pass" for v in verdicts)
    found = CaseResult(
        id="unnamed",
        title="unnamed",
        outcome=worst(verdict.outcome for verdict in verdicts),
        headline=f"{held} of {len(verdicts)} checks held" if verdicts else "No check has judged this history",
        facts=(("records", f"{len(history.records):,}"),),
        history=history,
        seconds=max((r.at_s for r in history.records), default=0.0),
    )
    meta = found.meta
    if meta is None:
        return found
    name = f"{meta.scenario}[{meta.case}]"
    return replace(found, id=name, title=name, scenario=meta.scenario, case=meta.case, defect=meta.defect)
