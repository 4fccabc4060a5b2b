"""How a test says which shape it is of and over which cases it runs, and how it ends."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import pytest

from harness.checks.judge import Judgement
from harness.errors import ServiceError, WaitTimeout
from scenarios.catalogue import Shape
from scenarios.defects.defect import Defect

MARKER = "cases"

Test = TypeVar("Test", bound=Callable[..., object])


class NotPassed(AssertionError):  # noqa: N818 - reads as the verdict it carries
    """A case was judged, and not as passed. The judgement says by which checks."""

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement
        lines = [
            f"{finding.outcome.upper()} {finding.check}: {finding.reason}{_at(finding.evidence)}"
            for finding in judgement.findings
            if finding.outcome != "pass"
        ]
        super().__init__("\n".join(lines) or "no check said anything")


def _at(evidence: tuple[int, ...]) -> str:
    return f" [history.jsonl line {', '.join(map(str, evidence))}]" if evidence else ""


def cases(of: str | Shape, rows: Mapping[str, object], *, defects: Sequence[Defect] = ()) -> Callable[[Test], Test]:
    """Run a test of a shape over these cases (id -> the value of its `case` argument).

    `of` is the id of a shape of the catalogue, or one of your own; `defects` are your own that it must catch.
    """

    def mark(test: Test) -> Test:
        # The loop that environments live in, also where no settings file says so.
        in_session_loop = pytest.mark.asyncio(loop_scope="session")
        marked: Test = pytest.mark.cases(of, rows, defects)(in_session_loop(test))
        return marked

    return mark


def require_pass(judgement: Judgement) -> None:
    """Raises NotPassed unless every check passed: an inconclusive one counts against the case."""
    __tracebackhide__ = True
    if judgement.outcome != "pass":
        raise NotPassed(judgement)


@contextlib.contextmanager
def still_judged() -> Iterator[None]:
    """What the product does not reach in time here is for the checks to judge, not for the wait to raise."""
    with contextlib.suppress(WaitTimeout, ServiceError):
        yield
