"""The checks on a Deployment's status."""

import pytest

from fleet.wire import Bucket, Phase
from harness.checks.judge import Check
from harness.checks.status import status_true, status_true_soon
from harness.checks.tests.story import TRUE, Story, report, settled, spec_of, status_of

TARGET = "site.rack.device-0.app"
FAILED = {"matched": 1, "succeeded": 0, "pending": 0, "failed": 1, "lastError": {"device": "site.rack.device-0"}}
SOON = status_true_soon("restart", 2)


@pytest.mark.parametrize("check", [status_true, SOON], ids=["true", "soon"])
def test_an_empty_history_passes_nothing(check: Check) -> None:
    """Nobody looked, so nobody knows."""
    assert check(Story().history()).outcome == "inconclusive"


class TestStatusTrue:
    def test_true(self) -> None:
        """The counts are what the acknowledged reports add up to."""
        assert status_true(settled().history()).outcome == "pass"

    def test_false(self) -> None:
        """A report that the status does not show fails; the status line is the evidence."""
        story = settled()
        line = story.deployment(counts=TRUE)
        story.said(TARGET, report(Phase.FAILED, after_s=1))
        story.asked()
        found = status_true(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))

    @pytest.mark.parametrize(
        "status",
        [
            status_of(TRUE, ready=False),
            status_of(TRUE, generation=0),
            status_of({**TRUE, "lastError": {"device": "site.rack.device-0"}}),
        ],
        ids=["ready", "generation", "last-error"],
    )
    def test_right_counts_are_not_all(self, status: dict[str, object]) -> None:
        """Ready, the generation observed and the last error have to be true as well."""
        story = settled()
        story.resource("Deployment", "app", spec=spec_of(), status=status)
        story.asked()
        assert status_true(story.history()).outcome == "fail"

    def test_no_status(self) -> None:
        """A Deployment that no operator ever looked at is not true by silence."""
        story = Story()
        story.deployment()
        assert status_true(story.history()).outcome == "fail"

    def test_a_deleted_deployment_needs_no_status(self) -> None:
        """What a deleted Deployment showed last is nobody's claim any more."""
        story = settled()
        story.deployment("other", counts={**TRUE, "failed": 7})
        story.deployment("other", event="deleted")
        assert status_true(story.history()).outcome == "pass"

    def test_a_witness_that_missed_something(self) -> None:
        """The model counts by the keys it saw; if it cannot have seen all, it must not judge."""
        story = settled()
        story.asked([Bucket.DESIRED_STATE], messages=5)
        assert status_true(story.history()).outcome == "inconclusive"


class TestStatusTrueSoon:
    def restarted(self) -> Story:
        """All devices fail; the operator dies before it says so; its successor converges."""
        story = settled()
        story.process("spawned")
        story.recovery("Converged")
        story.said(TARGET, report(Phase.FAILED, after_s=1))
        story.asked_and_marked("restart")
        story.process("spawned", "operator-2", pid=2)
        story.recovery("Converged", "operator-2")
        return story

    @pytest.mark.parametrize(("after_s", "outcome"), [(0.0, "pass"), (1.9, "pass"), (2.1, "fail")])
    def test_limit(self, after_s: float, outcome: str) -> None:
        """Counted from the convergence of the one that was started after the mark; both lines are the evidence."""
        story = self.restarted()
        converged = len(story.records)
        story.passes(after_s)
        line = story.deployment(counts=FAILED)
        story.asked()
        found = SOON(story.history())
        assert (found.outcome, found.evidence) == (outcome, (converged, line))

    def test_never(self) -> None:
        """A status that stays as it was fails."""
        story = self.restarted()
        story.asked()
        assert SOON(story.history()).outcome == "fail"

    def test_true_and_then_not(self) -> None:
        """A status that is right for a moment has to stay so."""
        story = self.restarted()
        story.deployment(counts=FAILED)
        story.deployment(counts=TRUE)
        story.asked()
        assert SOON(story.history()).outcome == "fail"
        story.passes(3)
        story.deployment(counts=FAILED)
        assert SOON(story.history()).outcome == "fail"

    def test_true_before_the_mark(self) -> None:
        """A status that the dying operator had just made true costs its successor nothing."""
        story = settled()
        story.asked_and_marked("restart")
        story.process("spawned", "operator-2", pid=2)
        story.recovery("Converged", "operator-2")
        story.asked()
        assert SOON(story.history()).outcome == "pass"

    def test_the_old_operator_does_not_count(self) -> None:
        """That the one of before says Converged once more starts no clock."""
        story = settled()
        story.process("spawned")
        story.asked_and_marked("restart")
        story.recovery("Converged", "operator-1")
        story.asked()
        assert SOON(story.history()).outcome == "inconclusive"

    def test_no_deployment(self) -> None:
        """An operator that converged over an empty world showed nothing about status."""
        story = Story()
        story.mark("restart")
        story.process("spawned", "operator-2", pid=2)
        story.recovery("Converged", "operator-2")
        assert SOON(story.history()).outcome == "inconclusive"
