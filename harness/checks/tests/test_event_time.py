"""The last event wins, by event time, however late others are told."""

from collections.abc import Callable

import pytest

from fleet.wire import Phase
from harness.checks.event_time import event_time_wins
from harness.checks.tests.story import TRUE, Story, report, settled

TARGET = "site.rack.device-0.app"
FAILED = {"matched": 1, "succeeded": 0, "pending": 0, "failed": 1, "lastError": {"device": "site.rack.device-0"}}
CHECK = event_time_wins("late", "settled")


def told(*reports: str, then: Callable[[Story], object] = lambda _: None) -> Story:
    """A settled world, a new event, and reports between the marks."""
    story = settled()
    story.said(TARGET, report(after_s=10.0))
    story.asked_and_marked("late")
    for text in reports:
        story.said(TARGET, text)
    then(story)
    story.asked_and_marked("settled")
    story.asked()
    return story


def test_an_older_event_changes_nothing() -> None:
    """Told late, and the status stands."""
    found = CHECK(told(report(Phase.FAILED, after_s=5.0)).history())
    assert found.outcome == "pass"
    assert "1 reports of older events" in found.reason


@pytest.mark.parametrize("healed", [False, True])
def test_an_older_event_that_won(*, healed: bool) -> None:
    """A status that follows it is wrong, also where it came right again."""

    def then(story: Story) -> None:
        story.deployment(counts=FAILED)
        if healed:
            story.deployment(counts=TRUE)

    found = CHECK(told(report(Phase.FAILED, after_s=5.0), then=then).history())
    assert found.outcome == "fail"
    assert "app showed 0 of 1 devices as succeeded, not 1" in found.reason


def test_of_equal_times_the_last_wins() -> None:
    """Failed at the same instant and stored later: then that is true."""
    story = told(report(Phase.FAILED, after_s=10.0), then=lambda s: s.deployment(counts=FAILED))
    assert CHECK(story.history()).outcome == "pass"


def test_of_equal_times_the_first_won() -> None:
    """The status still shows what was stored first."""
    found = CHECK(told(report(Phase.FAILED, after_s=10.0)).history())
    assert found.outcome == "fail"
    assert "1 of equally old ones" in found.reason


@pytest.mark.parametrize("text", [report(after_s=11.0), "{}"], ids=["new", "malformed"])
def test_nothing_but_new_events(text: str) -> None:
    """In order, nothing is shown about disorder."""
    assert CHECK(told(text).history()).outcome == "inconclusive"


def test_without_a_window_or_a_witness() -> None:
    """Nobody can tell."""
    assert CHECK(settled().history()).outcome == "inconclusive"
    story = told(report(Phase.FAILED, after_s=5.0))
    story.asked(last_seq=story.revision + 1)
    assert CHECK(story.history()).outcome == "inconclusive"
