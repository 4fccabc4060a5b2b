"""The verdict on a defective product is turned around: red by the named check is green, anything else is not."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from harness.checks.judge import Judgement, failed, inconclusive, passed
from harness.checks.tests.story import Story
from harness.env import Environment
from harness.errors import ServiceError
from harness.history import History
from scenarios import plugin as hooks
from scenarios.cases import NotPassed
from scenarios.catalogue import SHAPES
from scenarios.defects import DEFECTS
from scenarios.running.summary import Summary
from scenarios.variants import Variant

DEFECT = DEFECTS["no-seed"]
CAUGHT = Judgement((failed(DEFECT.check, "rewritten"), passed("other", "fine")))
ELSEWHERE = Judgement((failed("other", "broken"), passed(DEFECT.check, "fine")))
UNSURE = Judgement((inconclusive(DEFECT.check, "no window"),))
GREEN = Judgement((passed(DEFECT.check, "fine"),))


@dataclass
class FakeRecorder:
    story: Story = field(default_factory=Story)

    def history(self) -> History:
        return self.story.history()


class FakeEnvironment(Environment):
    """Has only what the hook looks at."""

    def __init__(self, *, converged: bool) -> None:
        recorder = FakeRecorder()
        recorder.story.recovery("Converged" if converged else "Recovering")
        self.recorder = recorder  # type: ignore[assignment] # as much of one as is needed
        self.judgement = Judgement(())


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Summary]:
    """What was written down of each case."""
    summaries: list[Summary] = []
    monkeypatch.setattr(hooks, "_write_down", lambda *arguments: summaries.append(arguments[-1]))
    return summaries


def only(written: list[Summary]) -> tuple[str, str]:
    """Outcome and headline of the one case that was written down."""
    (summary,) = written
    return summary.outcome, summary.headline


def ended(raised: BaseException | None, *, expect_red: bool, converged: bool = True, defective: bool = True) -> None:
    """Run the hook around a test that raised, or did not."""
    variant = Variant(SHAPES[0], "c", None, DEFECT if defective else None, expect_red=expect_red)
    item = SimpleNamespace(
        callspec=SimpleNamespace(params={"variant": variant}),
        funcargs={"env": FakeEnvironment(converged=converged)},
        config=None,
    )
    hook = hooks.pytest_pyfunc_call(cast("pytest.Function", item))
    next(hook)
    try:
        if raised is None:
            hook.send(None)
        else:
            hook.throw(raised)
    except StopIteration:
        return


def test_caught(written: list[Summary]) -> None:
    """The named check is red: the test passes, and the report says that it was caught, and how."""
    ended(NotPassed(CAUGHT), expect_red=True)
    assert only(written) == ("pass", f"Caught: {DEFECT.check}: rewritten")


@pytest.mark.parametrize("judgement", [ELSEWHERE, UNSURE], ids=["another check", "inconclusive"])
def test_not_by_the_named_check(written: list[Summary], judgement: Judgement) -> None:
    """Red for another reason, or only doubtful, is no catch."""
    with pytest.raises(AssertionError, match="not caught by zero-desired-writes"):
        ended(NotPassed(judgement), expect_red=True)
    outcome, headline = only(written)
    assert outcome == "fail"
    assert "not caught by zero-desired-writes" in headline


@pytest.mark.parametrize("raised", [None, ServiceError("away"), AssertionError("x")], ids=["passed", "infra", "assert"])
def test_no_verdict_is_no_catch(written: list[Summary], raised: Exception | None) -> None:
    """A defective product that passes, or a case that came to no verdict, fails the test."""
    with pytest.raises(AssertionError, match="was not caught"):
        ended(raised, expect_red=True)
    assert only(written)[0] == "fail"


def test_a_crash_on_start_is_no_catch(written: list[Summary]) -> None:
    """An operator that never came up shows nothing, however red the check is."""
    with pytest.raises(AssertionError, match="never came up"):
        ended(NotPassed(CAUGHT), expect_red=True, converged=False)
    outcome, headline = only(written)
    assert outcome == "fail"
    assert "never came up" in headline


@pytest.mark.parametrize("defective", [True, False])
def test_by_itself_red_is_red(written: list[Summary], *, defective: bool) -> None:
    """With `--defect NAME`, and on the sound product, the verdict stays as it is."""
    with pytest.raises(NotPassed):
        ended(NotPassed(CAUGHT), expect_red=False, defective=defective)
    assert only(written) == ("fail", f"{DEFECT.check}: rewritten")


def test_trouble_is_written_down(written: list[Summary]) -> None:
    """What ended a case before its verdict stands in its result, and still fails the test."""
    with pytest.raises(ServiceError):
        ended(ServiceError("away"), expect_red=False, defective=False)
    assert only(written) == ("infra-error", "ServiceError: away")
