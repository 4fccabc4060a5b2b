"""The same question, asked of the same events, has the same answer; what is not such a question is refused."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec
import pytest

from harness.checks import life, writes
from harness.checks.judge import Ask, Check, Finding, check, check_of, failed, judge, passed
from harness.checks.recheck import Again, AnyFactory, CannotAskError, judge_again
from harness.checks.tests.story import Story, settled
from harness.history import Argument, History, Mark, Op, Record, Verdict


class Colour(StrEnum):
    RED = "red"


@check
def nothing_failed(history: History) -> Finding:
    bad = [line for line, _ in history.numbered(Op, lambda op: op.outcome == "fail")]
    return failed("nothing-failed", f"{len(bad)} did", bad) if bad else passed("nothing-failed", "all well")


@check_of
def told(text: str, limit_s: float, names: tuple[str, ...], colour: Colour, *more: str, strict: bool = False) -> Ask:
    def ask(_: History) -> Finding:
        return passed("told", f"{text} {limit_s!r} {names!r} {colour!r} {more!r} {strict!r}")

    return ask


@check
def reads_the_meta(history: History) -> Finding:
    return passed("reads-the-meta", history.meta.run_id)


def find(function: str) -> Check | AnyFactory:
    found: Mapping[str, Check | AnyFactory] = {
        f"{__name__}:nothing_failed": nothing_failed,
        f"{__name__}:told": told,
        f"{__name__}:reads_the_meta": reads_the_meta,
        "harness.checks.writes:no_writes": writes.no_writes,
        "harness.checks.life:converged_in_time": life.converged_in_time,
    }
    if function not in found:
        raise CannotAskError(f"{function!r} is nowhere")
    return found[function]


def judged(story: Story, *checks: Check) -> History:
    """As an environment leaves it: the events, the verdicts, and what still came after them; once through bytes."""
    records: list[Record] = list(story.records)
    for one, finding in zip(checks, judge(story.history(), checks).findings, strict=True):
        records.append(verdict(finding, one.function, one.arguments))
    records.append(Mark(at_s=99.0, name="after"))
    return History(msgspec.json.decode(msgspec.json.encode(records), type=list[Record]))


def verdict(finding: Finding, function: str, arguments: Mapping[str, Argument]) -> Verdict:
    return Verdict(
        at_s=9.0,
        check=finding.check,
        outcome=finding.outcome,
        reason=finding.reason,
        evidence=finding.evidence,
        function=function,
        arguments=dict(arguments),
    )


def answers(again: tuple[Again, ...]) -> list[tuple[bool, str]]:
    return [(one.same, one.finding.outcome) for one in again]


def test_a_sound_history_says_the_same() -> None:
    """Outcome, words and evidence, for checks with and without arguments."""
    story = settled()
    story.mark("a")
    story.mark("b")
    again = judge_again(judged(story, nothing_failed, writes.no_writes("a", "b")), find)
    assert [one.same for one in again] == [True, True]
    for one in again:
        assert (one.stored.reason, one.stored.evidence) == (one.finding.reason, one.finding.evidence)


@pytest.mark.parametrize("outcome", ["fail", "inconclusive", "infra-error"])
def test_what_was_answered_is_not_asked(outcome: str) -> None:
    """A verdict that was edited differs from what the events say."""
    history = judged(settled(), nothing_failed)
    edited = [msgspec.structs.replace(r, outcome=outcome) if isinstance(r, Verdict) else r for r in history.records]
    (again,) = judge_again(History(edited), find)
    assert (again.same, again.stored.outcome, again.finding.outcome) == (False, outcome, "pass")


def test_an_edited_event_flips_the_verdict() -> None:
    """One operation that failed, put in before the verdicts, is found; behind them it is no event."""
    history = judged(settled(), nothing_failed)
    bad = Op(at_s=1.0, client="d", action="put", target="k", invoked_s=0.9, outcome="fail")
    assert answers(judge_again(History([bad, *history.records]), find)) == [(False, "fail")]
    assert answers(judge_again(History([*history.records, bad]), find)) == [(True, "pass")]


def test_arguments_come_back_as_they_were() -> None:
    """Whole floats, tuples, an enum's member, starred and keyword-only ones."""
    asked = told("a", 30.0, ("x", "y"), Colour.RED, "p", "q", strict=True)
    (again,) = judge_again(judged(settled(), asked), find)
    assert again.finding.reason == again.stored.reason
    assert "30.0 ('x', 'y') <Colour.RED: 'red'> ('p', 'q') True" in again.finding.reason


def test_a_history_that_was_never_judged_has_no_verdicts() -> None:
    """Nothing is asked of it."""
    assert judge_again(settled().history(), find) == ()


GOOD: dict[str, Argument] = {"text": "a", "limit_s": 1.0, "names": ("x",), "colour": "red"}


@pytest.mark.parametrize(
    ("function", "arguments", "words"),
    [
        ("os:system", {"command": "true"}, "'os:system' is nowhere"),
        (f"{__name__}:nothing_failed", {"start": "a"}, "takes no arguments, and is stored with start"),
        (f"{__name__}:told", {"text": "a"}, "differ from in colour, limit_s, names"),
        (f"{__name__}:told", {**GOOD, "extra": 1}, "differ from in extra"),
        (f"{__name__}:told", {**GOOD, "limit_s": "soon"}, "argument limit_s is 'soon'"),
        (f"{__name__}:told", {**GOOD, "colour": "blue"}, "argument colour is 'blue'"),
        (f"{__name__}:told", {**GOOD, "names": "x"}, "argument names is 'x'"),
        (f"{__name__}:reads_the_meta", {}, "cannot read these events: HistoryError"),
    ],
)
def test_what_cannot_be_asked_is_named(function: str, arguments: dict[str, Argument], words: str) -> None:
    """With its line and its check; nothing is called with arguments that it does not take."""
    story = settled()
    line = story.add(verdict(passed("a-check", ""), function, arguments))
    with pytest.raises(CannotAskError) as caught:
        judge_again(story.history(), find)
    assert str(caught.value).startswith(f"line {line}: a-check")
    assert words in str(caught.value)
