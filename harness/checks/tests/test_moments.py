"""Whether something was done at the moment that was meant."""

import pytest

from harness.checks.moments import held_over, right_after_convergence, while_recovering
from harness.checks.tests.story import Story


def restarted(*, edited: str, converged: bool = True, killed: bool = False) -> Story:
    """An operator that is started after `restart` and converges; the mark `edited` is set before or after that."""
    story = Story()
    story.recovery("Converged")
    story.mark("restart")
    story.process("spawned", "operator-2", pid=2)
    story.recovery("Recovering", "operator-2")
    if edited == "before":
        story.mark("edited")
    if killed:
        story.process("signalled", "operator-2", pid=2, signal="SIGKILL")
    story.passes(1.0)
    if converged:
        story.recovery("Converged", "operator-2")
    story.passes(0.5)
    if edited == "after":
        story.mark("edited")
    return story


class TestWhileRecovering:
    check = staticmethod(while_recovering("restart", "edited"))

    def test_before_convergence(self) -> None:
        """The operator of before had converged, and that is another one."""
        assert self.check(restarted(edited="before").history()).outcome == "pass"

    @pytest.mark.parametrize(
        "story",
        [
            restarted(edited="after"),
            restarted(edited="never"),
            restarted(edited="before", converged=False),
            restarted(edited="before", killed=True),
            Story(),
        ],
        ids=["too late", "no mark", "never converged", "nobody left alone", "nothing"],
    )
    def test_otherwise_nothing_was_shown(self, story: Story) -> None:
        """Too late, or nobody whose recovery it could have been."""
        assert self.check(story.history()).outcome == "inconclusive"


class TestRightAfterConvergence:
    check = staticmethod(right_after_convergence("restart", "edited", 1.0))

    def test_soon(self) -> None:
        """Half a second later."""
        assert self.check(restarted(edited="after").history()).outcome == "pass"

    @pytest.mark.parametrize("edited", ["before", "never"])
    def test_not_then(self, edited: str) -> None:
        """While it was still recovering, or not at all."""
        assert self.check(restarted(edited=edited).history()).outcome == "inconclusive"

    def test_too_late(self) -> None:
        """Beyond the limit it is another moment."""
        check = right_after_convergence("restart", "edited", 0.1)
        assert check(restarted(edited="after").history()).outcome == "inconclusive"

    def test_never_converged(self) -> None:
        """There is no such moment."""
        assert self.check(restarted(edited="after", converged=False).history()).outcome == "inconclusive"


class TestHeldOver:
    check = staticmethod(held_over("patch", 2, "edited"))

    def test_over(self) -> None:
        """Held before the mark and released after it."""
        story = Story()
        story.gate("held")
        story.mark("edited")
        story.gate("released")
        assert self.check(story.history()).outcome == "pass"

    def test_released_too_early(self) -> None:
        """The mark was set when nothing was held any more."""
        story = Story()
        story.gate("held")
        story.gate("released")
        story.mark("edited")
        assert self.check(story.history()).outcome == "inconclusive"

    @pytest.mark.parametrize("events", [[], ["held"], ["held", "dropped"]], ids="-".join)
    def test_not_held_and_released(self, events: list[str]) -> None:
        """A request that did not come, hangs still or was dropped."""
        story = Story()
        for event in events[:1]:
            story.gate("held" if event == "held" else "dropped")
        story.mark("edited")
        if events[1:]:
            story.gate("dropped")
        assert self.check(story.history()).outcome == "inconclusive"

    def test_without_the_mark(self) -> None:
        """Nobody knows when it was."""
        story = Story()
        story.gate("held")
        story.gate("released")
        assert self.check(story.history()).outcome == "inconclusive"
