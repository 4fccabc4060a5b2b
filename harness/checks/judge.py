"""What a check is, and how findings add up.

A check never raises for what the product did: it answers pass, fail or inconclusive, in words, with the lines of the
history that show it. A check that could not look (the fault did not bite, a witness missed something) is inconclusive;
that never counts as a pass.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.history import History, VerdictOutcome, worst

EVIDENCE_LINES_MAX = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says. `evidence` are line numbers of the history."""

    check: str
    outcome: VerdictOutcome
    reason: str
    evidence: tuple[int, ...] = ()


Check = Callable[[History], Finding]


@dataclass(frozen=True, slots=True)
class Judgement:
    """All findings on one history."""

    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> VerdictOutcome:
        return worst(finding.outcome for finding in self.findings)

    def of(self, outcome: VerdictOutcome) -> list[Finding]:
        return [finding for finding in self.findings if finding.outcome == outcome]


def judge(history: History, checks: Sequence[Check]) -> Judgement:
    return Judgement(tuple(check(history) for check in checks))


def passed(check: str, reason: str, evidence: Sequence[int] = ()) -> Finding:
    return Finding(check, "pass", reason, tuple(evidence[:EVIDENCE_LINES_MAX]))


def failed(check: str, reason: str, evidence: Sequence[int] = ()) -> Finding:
    return Finding(check, "fail", reason, tuple(evidence[:EVIDENCE_LINES_MAX]))


def inconclusive(check: str, reason: str, evidence: Sequence[int] = ()) -> Finding:
    return Finding(check, "inconclusive", reason, tuple(evidence[:EVIDENCE_LINES_MAX]))
