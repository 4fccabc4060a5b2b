"""The check on what comes after the last heal."""

import pytest

from harness.checks.heal import converged_after_heal
from harness.checks.tests.story import Story

CHECK = converged_after_heal(5)


def struck(*, phase: str = "Recovering") -> Story:
    """An operator that converged, a fault, and what the operator says of itself under it."""
    story = Story()
    story.process("spawned")
    story.recovery("Converged")
    story.fault("applied", "http-503")
    story.fault("proved-active", "http-503")
    if phase != "Converged":
        story.recovery(phase)
    return story


def healed(story: Story) -> int:
    story.fault("healed", "http-503")
    return story.fault("proved-healed", "http-503")


@pytest.mark.parametrize(("after_s", "outcome"), [(0.0, "pass"), (4.9, "pass"), (5.1, "fail")])
def test_limit(after_s: float, outcome: str) -> None:
    """Counted from the proof of the heal; both places are the evidence."""
    story = struck()
    heal = healed(story)
    story.passes(after_s)
    line = story.recovery("Converged")
    found = CHECK(story.history())
    assert (found.outcome, found.evidence) == (outcome, (heal, line))


def test_all_along() -> None:
    """An operator that never lost what it knew passes at once."""
    story = struck(phase="Converged")
    healed(story)
    found = CHECK(story.history())
    assert (found.outcome, "0.00 s" in found.reason) == ("pass", True)


def test_never() -> None:
    """One that is still at it fails, however long it was given."""
    story = struck()
    healed(story)
    assert CHECK(story.history()).outcome == "fail"


def test_taken_back() -> None:
    """Converged and Recovering again is no convergence."""
    story = struck()
    healed(story)
    story.recovery("Converged")
    story.recovery("Recovering")
    assert CHECK(story.history()).outcome == "fail"


def test_the_last_heal_counts() -> None:
    """A fault that strikes again starts the time again."""
    story = struck()
    healed(story)
    story.passes(60)
    story.fault("applied", "http-503")
    healed(story)
    story.recovery("Converged")
    assert CHECK(story.history()).outcome == "pass"


def test_each_that_lives() -> None:
    """Of two operators both have to; one that has exited is not waited for."""
    story = struck()
    story.process("spawned", "operator-2", pid=2)
    healed(story)
    story.recovery("Converged")
    assert CHECK(story.history()).outcome == "fail"
    story.process("exited", "operator-2", pid=2)
    assert CHECK(story.history()).outcome == "pass"


def test_nobody_lives() -> None:
    """Without an operator there is nothing to wait for."""
    story = struck()
    story.process("exited")
    healed(story)
    assert CHECK(story.history()).outcome == "inconclusive"


def test_nothing_was_healed() -> None:
    """A fault that goes on excuses whoever suffers from it."""
    assert CHECK(struck().history()).outcome == "inconclusive"
