"""What comes back after a loss, and what nobody may conclude from it."""

from collections.abc import Callable

import pytest

from fleet.wire import Bucket
from harness.checks.keys import no_wanted_key_absent
from harness.checks.rebuilt import keys_rebuilt, loss_is_no_deletion, reports_back
from harness.checks.reference import World, witness_gap
from harness.checks.tests.story import Story, desired, settled
from harness.checks.writes import wanted_keys_present
from harness.history import KeysLost

KEY = "site.rack.device-0.app"
REPORTS = (Bucket.DEVICE_INFO, Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT)


def lost(story: Story, *keys: str) -> int:
    """The witness finds out that these keys vanished, and the broker knows nothing under them any more."""
    for key in keys:
        story.newest.pop(key)
    return story.add(KeysLost(at_s=story.at_s, bucket=Bucket.DESIRED_STATE.value, keys=keys))


def struck() -> Story:
    story = settled(devices=2)
    story.mark("before")
    lost(story, KEY)
    story.mark("back")
    return story


def test_a_key_that_is_written_again_in_time() -> None:
    """It vanished, and the broker stored it as one that it did not know."""
    story = struck()
    line = story.stored(KEY, desired())
    story.asked()
    finding = keys_rebuilt("back", 1.0)(story.history())
    assert (finding.outcome, line in finding.evidence) == ("pass", True)
    assert witness_gap(story.history()) is None


def test_a_key_that_is_written_again_too_late() -> None:
    """Red, with the line of the write."""
    story = struck()
    story.passes(1.1)
    line = story.stored(KEY, desired())
    story.asked()
    finding = keys_rebuilt("back", 1.0)(story.history())
    assert (finding.outcome, line in finding.evidence) == ("fail", True)
    assert "more than 1 s after back" in finding.reason


def test_a_key_that_is_never_written_again() -> None:
    """Red: the other checks know that it is not there, either."""
    story = struck()
    story.asked()
    history = story.history()
    assert "1 wanted keys were not written again" in keys_rebuilt("back", 1.0)(history).reason
    assert wanted_keys_present(history).outcome == "fail"
    assert World.at_end(history).stored.keys() == {("site.rack.device-1", "app")}
    absent = no_wanted_key_absent(60.0)(history)
    assert (absent.outcome, "1 wanted keys are missing at the end" in absent.reason) == ("fail", True)


def test_an_absence_ends_with_the_write() -> None:
    """It counts from when it was found out to when the key was stored again."""
    story = struck()
    story.passes(2.0)
    story.stored(KEY, desired())
    story.asked()
    assert no_wanted_key_absent(3.0)(story.history()).outcome == "pass"
    assert no_wanted_key_absent(1.0)(story.history()).outcome == "fail"


def test_no_key_vanished() -> None:
    """A loss that took none says nothing about rebuilding."""
    story = settled()
    story.mark("back")
    story.stored(KEY, desired(generation=2))
    story.asked()
    assert keys_rebuilt("back", 1.0)(story.history()).outcome == "inconclusive"
    assert keys_rebuilt("no-such", 1.0)(story.history()).outcome == "inconclusive"


def test_a_bucket_that_is_gone() -> None:
    """Every key is lost with it: what is stored is known, and it is nothing."""
    story = settled()
    story.mark("back")
    lost(story, KEY)
    assert witness_gap(story.history()) is None
    assert keys_rebuilt("back", 1.0)(story.history()).outcome == "fail"


@pytest.mark.parametrize(("after", "outcome"), [(8, "pass"), (9, "pass"), (7, "fail"), (0, "fail")])
def test_reports_back(after: int, outcome: str) -> None:
    """As many keys as before, in each bucket that devices write."""
    story = settled()
    story.asked(REPORTS, messages=8)
    story.mark("before")
    story.asked(REPORTS[1:], messages=8)
    story.asked(REPORTS[:1], messages=after)
    story.mark("settled")
    assert reports_back("before", "settled")(story.history()).outcome == outcome


def test_reports_of_a_bucket_that_is_not_made_again() -> None:
    """It holds nothing."""
    story = settled()
    story.asked(REPORTS, messages=8)
    story.mark("before")
    story.asked(REPORTS[1:], messages=8)
    story.mark("settled")
    assert "device-info holds 0 keys, not 8" in reports_back("before", "settled")(story.history()).reason


def test_nothing_was_reported_before() -> None:
    """Then nothing can come back."""
    story = settled()
    story.asked_and_marked("before")
    story.asked_and_marked("settled")
    assert reports_back("before", "settled")(story.history()).outcome == "inconclusive"
    assert reports_back("before", "no-such")(story.history()).outcome == "inconclusive"


def test_a_loss_without_consequences() -> None:
    """Keys vanish and are written again; nobody deletes anything."""
    story = struck()
    story.stored(KEY, desired())
    story.asked()
    assert loss_is_no_deletion("before")(story.history()).outcome == "pass"


def test_a_loss_taken_for_a_deletion() -> None:
    """A marker for a wanted key, an object that goes, a report that is withdrawn: each is red."""
    tellings: list[Callable[[Story], int]] = [
        lambda story: story.stored(KEY, operation="delete"),
        lambda story: story.said(KEY, action="delete device-state"),
        lambda story: story.device("spare", event="deleted"),
    ]
    for told in tellings:
        story = settled()
        story.device("spare", labels={})
        story.asked_and_marked("before")
        line = told(story)
        story.asked()
        finding = loss_is_no_deletion("before")(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))


def test_what_nobody_wanted_may_be_deleted() -> None:
    """A marker for a key that was not wanted all the time is not this check's."""
    story = settled(devices=2)
    story.asked_and_marked("before")
    story.device("site.rack.device-0", labels={})
    story.stored(KEY, operation="delete")
    story.said(KEY, action="delete device-state")
    story.asked()
    assert loss_is_no_deletion("before")(story.history()).outcome == "pass"
    assert loss_is_no_deletion("no-such")(story.history()).outcome == "inconclusive"
