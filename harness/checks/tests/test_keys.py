"""The checks on keys over time: what justifies a delete, and how long a key may be missing."""

import pytest

from harness.checks.judge import Check
from harness.checks.keys import deletes_justified, no_wanted_key_absent
from harness.checks.tests.story import Story, desired, settled, spec_of

DEVICE = "site.rack.device-0"
TARGET = f"{DEVICE}.app"
ABSENT = no_wanted_key_absent(2.0)


def known(story: Story) -> Story:
    """The API server's log tells when changes took effect: right when they were seen."""
    for resource, name in (("devices", DEVICE), ("deployments", "app")):
        story.patch(resource=resource, subresource="", name=name, requested_s=story.at_s, answered_s=story.at_s)
    return story


def change(story: Story, kind: str) -> None:
    """Make the key unwanted, in one of the ways there are."""
    known(story)
    if kind in {"device deleting", "device deleted", "blocked", "labels"}:
        story.device(
            DEVICE,
            blocked=kind == "blocked",
            deleting=kind == "device deleting",
            labels={"group": "other"} if kind == "labels" else {"group": "g0"},
            event="deleted" if kind == "device deleted" else "modified",
        )
    else:
        story.deployment(
            deleting=kind == "deployment deleting",
            spec=spec_of(selector={"group": "other"}) if kind == "selector" else None,
            event="deleted" if kind == "deployment deleted" else "modified",
        )


REASONS = [
    "device deleting",
    "device deleted",
    "blocked",
    "labels",
    "deployment deleting",
    "deployment deleted",
    "selector",
]


@pytest.mark.parametrize("check", [deletes_justified, ABSENT], ids=["deletes", "absent"])
def test_an_empty_history_passes_nothing(check: Check) -> None:
    """Nobody looked, so nobody knows."""
    assert check(Story().history()).outcome == "inconclusive"


@pytest.mark.parametrize("check", [deletes_justified, ABSENT], ids=["deletes", "absent"])
def test_a_witness_that_missed_something(check: Check) -> None:
    """Writes that nobody saw can't be judged."""
    story = settled()
    story.asked(messages=5)
    assert check(story.history()).outcome == "inconclusive"


class TestDeletesJustified:
    @pytest.mark.parametrize("reason", REASONS)
    def test_each_reason_justifies(self, reason: str) -> None:
        """The key was wanted, then it was not, then it was deleted."""
        story = settled()
        story.passes(10)
        change(story, reason)
        story.passes(10)
        story.stored(TARGET, operation="delete")
        story.asked()
        assert deletes_justified(story.history()).outcome == "pass"

    def test_without_a_reason(self) -> None:
        """A key that was wanted all the time: the revision and its delete are the evidence."""
        story = settled()
        story.passes(10)
        line = story.stored(TARGET, operation="delete")
        story.asked()
        found = deletes_justified(story.history())
        assert found.outcome == "fail"
        assert found.evidence[-1] == line
        assert TARGET in found.reason

    def test_by_a_view_of_before_the_put(self) -> None:
        """Unwanted once, wanted again and put again: an old view does not justify the delete of the new revision."""
        story = settled()
        story.passes(10)
        change(story, "labels")
        story.passes(10)
        story.stored(TARGET, operation="delete")
        known(story)
        story.device(DEVICE)
        story.passes(0.01)
        put = story.stored(TARGET, desired())
        story.passes(1)
        deleted = story.stored(TARGET, operation="delete")
        story.asked()
        found = deletes_justified(story.history())
        assert (found.outcome, found.evidence) == ("fail", (put, deleted))

    def test_a_change_back_that_the_harness_saw_late(self) -> None:
        """Wanted again before the put, by the API server's stamp, though the watch showed it after."""
        story = settled()
        story.passes(10)
        change(story, "labels")
        story.passes(10)
        story.stored(TARGET, operation="delete")
        story.patch(resource="devices", subresource="", name=DEVICE, answered_s=story.at_s)
        put = story.stored(TARGET, desired())
        story.passes(0.5)
        story.device(DEVICE)
        deleted = story.stored(TARGET, operation="delete")
        story.asked()
        found = deletes_justified(story.history())
        assert (found.outcome, found.evidence) == ("fail", (put, deleted))

    def test_before_the_reason(self) -> None:
        """A delete that came first is not justified by what came after it."""
        story = settled()
        story.passes(10)
        story.stored(TARGET, operation="delete")
        story.passes(10)
        change(story, "labels")
        story.asked()
        assert deletes_justified(story.history()).outcome == "fail"

    def test_a_change_that_the_harness_saw_late(self) -> None:
        """The API server's stamp counts, not when the watch showed it; the broker's likewise."""
        story = settled()
        story.passes(10)
        at_s = story.at_s
        story.passes(0.5)
        story.stored(TARGET, operation="delete", stored_s=at_s + 0.1)
        story.patch(resource="devices", subresource="", name=DEVICE, requested_s=at_s, answered_s=at_s + 0.05)
        story.device(DEVICE, blocked=True)
        story.asked()
        assert deletes_justified(story.history()).outcome == "pass"

    def test_nothing_deleted(self) -> None:
        """Nothing was shown about deletes."""
        assert deletes_justified(settled().history()).outcome == "inconclusive"

    def test_a_marker_over_nothing(self) -> None:
        """A pair that nobody wants may get one, for its agent's sake; there was no revision to lose."""
        story = settled()
        story.device("other", labels={})
        story.stored("other.app", operation="delete")
        story.asked()
        assert deletes_justified(story.history()).outcome == "pass"

    def test_an_object_of_the_same_name_again(self) -> None:
        """What was written for the one that was deleted may go, also when its successor is there already."""
        story = settled()
        story.passes(10)
        change(story, "deployment deleted")
        story.passes(1)
        known(story)
        story.deployment(uid="uid-second", event="added")
        story.passes(1)
        story.stored(TARGET, operation="delete")
        story.asked()
        assert deletes_justified(story.history()).outcome == "pass"


class TestNoWantedKeyAbsent:
    def test_always_there(self) -> None:
        """It was put as soon as it was wanted."""
        found = ABSENT(settled().history())
        assert found.outcome == "pass"
        assert "missing for over 0.0" in found.reason

    def test_missing_at_the_end(self) -> None:
        """However short: the world is at rest then."""
        story = settled()
        line = story.stored(TARGET, operation="delete")
        story.asked()
        found = ABSENT(story.history())
        assert found.outcome == "fail"
        assert line in found.evidence
        assert "1 wanted keys are missing at the end" in found.reason

    @pytest.mark.parametrize(("seconds", "outcome"), [(1.5, "pass"), (2.5, "fail")])
    def test_missing_for_a_while(self, seconds: float, outcome: str) -> None:
        """Put back within the bound or after it."""
        story = settled()
        story.stored(TARGET, operation="delete")
        story.passes(seconds)
        story.stored(TARGET, desired())
        story.asked()
        assert ABSENT(story.history()).outcome == outcome

    @pytest.mark.parametrize(("seconds", "outcome"), [(1.5, "pass"), (2.5, "fail")])
    def test_late_after_it_was_wanted(self, seconds: float, outcome: str) -> None:
        """Counted from the latest instant at which the change can have taken effect."""
        story = settled()
        story.passes(10)
        story.device("late")
        story.passes(seconds)
        story.stored("late.app", desired())
        story.asked()
        assert ABSENT(story.history()).outcome == outcome

    def test_deleted_twice(self) -> None:
        """The second marker over the first does not begin the count again."""
        story = settled()
        story.stored(TARGET, operation="delete")
        story.passes(1.5)
        story.stored(TARGET, operation="delete")
        story.passes(1.5)
        story.stored(TARGET, desired())
        story.asked()
        assert ABSENT(story.history()).outcome == "fail"

    @pytest.mark.parametrize("reason", REASONS)
    def test_not_wanted_is_not_missing(self, reason: str) -> None:
        """A key that went because nobody wants it is no absence, however long it is away."""
        story = settled()
        story.passes(10)
        change(story, reason)
        story.stored(TARGET, operation="delete")
        story.passes(60)
        story.asked()
        assert ABSENT(story.history()).outcome == "pass"

    def test_wanted_again(self) -> None:
        """What is wanted again has to be there again."""
        story = settled()
        story.passes(10)
        change(story, "labels")
        story.stored(TARGET, operation="delete")
        story.passes(10)
        known(story)
        story.device(DEVICE)
        story.passes(10)
        story.asked()
        assert ABSENT(story.history()).outcome == "fail"
        story.stored(TARGET, desired())
        story.asked()
        assert "missing for more than 2 s" in ABSENT(story.history()).reason
