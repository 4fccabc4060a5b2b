"""What a check is, and how findings add up.

A check never raises for what the product did: it answers pass, fail or inconclusive, in words, with the lines of the
history that show it. A check that could not look (the fault did not bite, a witness missed something) is inconclusive;
that never counts as a pass.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, ParamSpec

from harness.history import Argument, History, VerdictOutcome, worst

P = ParamSpec("P")

EVIDENCE_LINES_MAX = 12


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check says. `evidence` are line numbers of the history."""

    check: str
    outcome: VerdictOutcome
    reason: str
    evidence: tuple[int, ...] = ()


Ask = Callable[[History], Finding]
"""What a check does."""


@dataclass(frozen=True, slots=True)
class Check:
    """A question to a history. Its `function` (module:name) and `arguments` say which, also in a stored history."""

    function: str
    arguments: Mapping[str, Argument]
    ask: Ask = field(compare=False, repr=False)

    def __call__(self, history: History) -> Finding:
        return self.ask(history)


def check(function: Ask) -> Check:
    """Decorates a check without arguments."""
    return Check(_name(function), {}, function)


class CheckFactory(Generic[P]):
    """Makes checks of one function, each with its own arguments."""

    def __init__(self, factory: Callable[P, Ask]) -> None:
        self.factory = factory
        functools.update_wrapper(self, factory)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Check:
        bound = inspect.signature(self.factory).bind(*args, **kwargs)
        bound.apply_defaults()
        return Check(_name(self.factory), bound.arguments, self.factory(*args, **kwargs))


def check_of(factory: Callable[P, Ask]) -> CheckFactory[P]:
    """Decorates what makes a check of arguments: plain values, for they are stored with the verdict."""
    return CheckFactory(factory)


def _name(function: Callable[..., object]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


@dataclass(frozen=True, slots=True)
class Judgement:
    """All findings on one history."""

    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> VerdictOutcome:
        return worst(finding.outcome for finding in self.findings)

    def of(self, outcome: VerdictOutcome) -> list[Finding]:
        return [finding for finding in self.findings if finding.outcome == outcome]


def judge(history: History, checks: Sequence[Ask]) -> Judgement:
    return Judgement(tuple(ask(history) for ask in checks))


def passed(check: str, reason: str, evidence: Sequence[int] = ()) -> Finding:
    return Finding(check, "pass", reason, tuple(evidence[:EVIDENCE_LINES_MAX]))


def failed(check: str, reason: str, evidence: Sequence[int] = ()) -> Finding:
    return Finding(check, "fail", reason, tuple(evidence[:EVIDENCE_LINES_MAX]))


def inconclusive(check: str, reason: str, evidence: Sequence[int] = ()) -> Finding:
    return Finding(check, "inconclusive", reason, tuple(evidence[:EVIDENCE_LINES_MAX]))
