"""The verdict on a defective product is turned around: red by the named check is green, anything else is not."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.checks.judge import Judgement, failed, inconclusive, passed
from harness.checks.tests.story import Story
from harness.env import Environment
from harness.errors import ServiceError
from harness.history import History
from scenarios import conftest as hooks
from scenarios.cases import NotPassed
from scenarios.defects import DEFECTS

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
def written(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The troubles that were written down, one per case."""
    troubles: list[str | None] = []
    monkeypatch.setattr(hooks, "_write_down", lambda *arguments: troubles.append(arguments[-1]))
    return troubles


def ended(raised: BaseException | None, *, expect_red: bool, converged: bool = True, defective: bool = True) -> None:
    """Run the hook around a test that raised, or did not."""
    variant = hooks.Variant("s", "c", None, DEFECT if defective else None, expect_red=expect_red)
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


def test_caught(written: list[str | None]) -> None:
    """The named check is red: the test passes, and the case is written down once."""
    ended(NotPassed(CAUGHT), expect_red=True)
    assert written == [None]


@pytest.mark.parametrize("judgement", [ELSEWHERE, UNSURE], ids=["another check", "inconclusive"])
def test_not_by_the_named_check(written: list[str | None], judgement: Judgement) -> None:
    """Red for another reason, or only doubtful, is no catch."""
    with pytest.raises(AssertionError, match="not caught by zero-desired-writes"):
        ended(NotPassed(judgement), expect_red=True)
    assert written == [None]


@pytest.mark.parametrize("raised", [None, ServiceError("away"), AssertionError("x")], ids=["passed", "infra", "assert"])
def test_no_verdict_is_no_catch(written: list[str | None], raised: Exception | None) -> None:
    """A defective product that passes, or a case that came to no verdict, fails the test."""
    with pytest.raises(AssertionError, match="was not caught"):
        ended(raised, expect_red=True)
    assert len(written) == 1


def test_a_crash_on_start_is_no_catch(written: list[str | None]) -> None:
    """An operator that never converged shows nothing, however red the check is."""
    with pytest.raises(AssertionError, match="never converged"):
        ended(NotPassed(CAUGHT), expect_red=True, converged=False)
    assert written == [None]


@pytest.mark.parametrize("defective", [True, False])
def test_by_itself_red_is_red(written: list[str | None], *, defective: bool) -> None:
    """With `--defect NAME`, and on the sound product, the verdict stays as it is."""
    with pytest.raises(NotPassed):
        ended(NotPassed(CAUGHT), expect_red=False, defective=defective)
    assert written == [None]


def test_trouble_is_written_down(written: list[str | None]) -> None:
    """What ended a case before its verdict stands in its result, and still fails the test."""
    with pytest.raises(ServiceError):
        ended(ServiceError("away"), expect_red=False, defective=False)
    assert written == ["ServiceError: away"]


def test_rerun_names_what_to_run() -> None:
    """The command of a report runs just this variant."""
    assert hooks.Variant("s", "c", None).rerun == "fleetproof run s --case c"
    assert hooks.Variant("s", "c", None, DEFECT).rerun == "fleetproof run s --defect no-seed"
    assert Path(hooks.REPORT).suffix == ".html"
