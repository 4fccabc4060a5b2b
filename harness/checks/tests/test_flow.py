"""The checks on a status over time: which way it goes, and how many patches it takes."""

from collections.abc import Callable

import pytest

from fleet.wire import Phase
from harness.checks.consumers import consumers_unchanged
from harness.checks.flow import patches_match_status_changes, status_never_back
from harness.checks.judge import Check
from harness.checks.tests.story import Story, desired, report, settled, spec_of

DEVICE = "site.rack.device-0"
TARGET = f"{DEVICE}.app"
PATCHES = patches_match_status_changes("a", "b")
CONSUMERS = consumers_unchanged("a", "b")


def counts(succeeded: int, matched: int = 2) -> dict[str, object]:
    return {"matched": matched, "succeeded": succeeded, "pending": matched - succeeded, "failed": 0, "stale": 0}


def running(devices: int = 2) -> Story:
    """Settled long ago: two devices that succeeded, and a status that says so."""
    story = settled(devices)
    story.passes(60)
    return story


@pytest.mark.parametrize("check", [status_never_back, PATCHES, CONSUMERS], ids=["back", "patches", "consumers"])
def test_an_empty_history_passes_nothing(check: Check) -> None:
    """Nobody looked, so nobody knows."""
    assert check(Story().history()).outcome == "inconclusive"


LOWERS: dict[str, Callable[[Story], object]] = {
    "failed": lambda s: s.said(TARGET, report(Phase.FAILED, after_s=1)),
    "pending": lambda s: s.said(TARGET, report(Phase.PENDING, after_s=1)),
    "nobody can tell": lambda s: s.said(TARGET, "no answer", outcome="info"),
    "report deleted": lambda s: s.said(TARGET, action="delete device-state"),
    "an older generation": lambda s: s.said(TARGET, report(uid="uid-old", after_s=1)),
    "silent": lambda s: s.acted(DEVICE, "silence"),
    "wiped": lambda s: s.acted(DEVICE, "forget"),
    "blocked": lambda s: s.device(DEVICE, blocked=True),
    "other labels": lambda s: s.device(DEVICE, labels={"group": "other"}),
    "deleted": lambda s: s.device(DEVICE, event="deleted"),
    "key deleted": lambda s: s.stored(TARGET, operation="delete"),
    "key of another generation": lambda s: s.stored(TARGET, desired(generation=2)),
    "the same key again": lambda s: s.stored(TARGET, desired()),
    "deleting": lambda s: s.deployment(counts=counts(2), deleting=True),
}
RAISES: dict[str, Callable[[Story], object]] = {
    "nothing": lambda _: None,
    "running again": lambda s: s.said(TARGET, report(after_s=1)),
    "another device": lambda s: s.device("new"),
    "another deployment's": lambda s: s.said(f"{DEVICE}.other", report(Phase.FAILED, after_s=1)),
    "another deployment's key": lambda s: s.stored(f"{DEVICE}.other", operation="delete"),
    "the key of a new score": lambda s: s.stored(TARGET, desired(image="registry.example/app:2")),
    "a device that never succeeded": lambda s: s.device("new", blocked=True),
    "silence of another": lambda s: s.acted("new", "silence"),
}


class TestStatusNeverBack:
    def test_forward(self) -> None:
        """Counts that rise and generations that rise."""
        story = running()
        story.deployment(counts=counts(2))
        story.deployment(counts=counts(0), generation=2)
        story.deployment(counts=counts(2), generation=2)
        assert status_never_back(story.history()).outcome == "pass"

    def test_generation_back(self) -> None:
        """An older generation after a newer one, whatever else happened."""
        story = running()
        LOWERS["failed"](story)
        story.deployment(counts=counts(2), generation=2)
        line = story.deployment(counts=counts(2), generation=1)
        found = status_never_back(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))

    def test_another_object_begins_anew(self) -> None:
        """One that was deleted and made again has generations and counts of its own."""
        story = running()
        story.deployment(counts=counts(2), generation=5)
        story.deployment(counts=counts(0), uid="uid-second")
        story.deployment(counts=counts(1), uid="uid-second")
        assert status_never_back(story.history()).outcome == "pass"

    @pytest.mark.parametrize("event", RAISES.values(), ids=RAISES)
    def test_count_back(self, event: Callable[[Story], object]) -> None:
        """Fewer succeeded though nothing can have lowered that."""
        story = running()
        event(story)
        story.passes(1)
        line = story.deployment(counts=counts(1))
        found = status_never_back(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))
        assert "from 2 succeeded devices to 1" in found.reason

    @pytest.mark.parametrize("event", LOWERS.values(), ids=LOWERS)
    def test_count_lowered(self, event: Callable[[Story], object]) -> None:
        """Fewer succeeded after something that lowers it; and back up, which may take a while to see."""
        story = running()
        story.deployment(counts=counts(2))
        event(story)
        story.passes(1)
        story.deployment(counts=counts(1))
        story.passes(1)
        story.deployment(counts=counts(2))
        story.deployment(counts=counts(1))
        assert status_never_back(story.history()).outcome != "fail"

    @pytest.mark.parametrize("event", LOWERS.values(), ids=LOWERS)
    def test_what_lowered_it_long_ago_is_no_excuse(self, event: Callable[[Story], object]) -> None:
        """Every view has it by then, so a lower count is of an older world."""
        story = running(3)
        event(story)
        story.deployment(counts=counts(1, 3))
        story.passes(60)
        story.deployment(counts=counts(2, 3))
        story.deployment(counts=counts(1, 3))
        assert status_never_back(story.history()).outcome == "fail"

    def test_a_report_for_an_older_generation_may_count(self) -> None:
        """A key whose score is right keeps its generation: what its device says then lowers the count, too."""
        story = running()
        story.deployment(counts=counts(2), generation=2)
        story.device(DEVICE, labels={"group": "other"})
        story.passes(1)
        story.deployment(counts=counts(1, 1), generation=2)
        assert status_never_back(story.history()).outcome != "fail"

    def test_a_new_score_begins_at_nothing(self) -> None:
        """What a device says of the score of before lowers nothing; what it says of the new one does."""
        story = running()
        image = "registry.example/app:2"
        story.deployment(counts=counts(0), spec=spec_of(image), generation=2)
        story.stored(TARGET, desired(generation=2, image=image))
        story.said(TARGET, report(Phase.PENDING, generation=2, after_s=1))
        story.said(TARGET, report(generation=2, after_s=2))
        story.passes(1)
        story.deployment(counts=counts(1), spec=spec_of(image), generation=2)
        passes = status_never_back(story.history())
        assert (passes.outcome, passes.reason[:1]) == ("pass", "1")
        story.said(TARGET, report(Phase.PENDING, generation=2, after_s=3))
        story.deployment(counts=counts(0), spec=spec_of(image), generation=2)
        assert status_never_back(story.history()).outcome != "fail"

    def test_nothing_to_compare(self) -> None:
        """One status alone goes nowhere."""
        story = Story()
        story.deployment(counts=counts(2))
        assert status_never_back(story.history()).outcome == "inconclusive"


def ticked(changes: int, patches: int, *, apart_s: float = 1.0, code: int = 200) -> Story:
    """Between the marks a and b: so many versions with another status, so many patches."""
    story = running()
    story.asked_and_marked("a")
    for number in range(max(changes, patches)):
        if number < patches:
            story.patch(code=code)
        if number < changes:
            story.deployment(counts=counts(number % 2))
        story.passes(apart_s)
    story.deployment(counts=counts((changes - 1) % 2) if changes else counts(2) | {"stale": 1})
    if not changes:
        story.records.pop()
    story.asked_and_marked("b")
    return story


class TestPatchesMatchStatusChanges:
    def test_one_each(self) -> None:
        """Versions that leave the status as it is, as an edit of the spec does, are no changes."""
        found = PATCHES(ticked(5, 5).history())
        assert (found.outcome, found.reason) == ("pass", "5 status patches for 5 changes of a status")

    @pytest.mark.parametrize("patches", [6, 4])
    def test_more_or_fewer(self, patches: int) -> None:
        """A patch that changed nothing, or a change that no patch explains."""
        found = PATCHES(ticked(5, patches).history())
        assert found.outcome == "fail"
        assert f"{patches} status patches" in found.reason

    def test_a_refused_patch_counts(self) -> None:
        """It reached the API server, and cost it something."""
        story = ticked(5, 5)
        last = story.records.pop()
        story.patch(code=409, requested_s=last.at_s)
        story.records.append(last)
        found = PATCHES(story.history())
        assert found.outcome == "fail"
        assert "(1 refused)" in found.reason

    def test_twice_in_a_tick(self) -> None:
        """As many patches as changes, but two of one Deployment in one tick."""
        assert PATCHES(ticked(5, 5, apart_s=0.2).history()).outcome == "fail"

    def test_nothing_changed(self) -> None:
        """Nothing was shown about changes."""
        assert PATCHES(ticked(0, 0).history()).outcome == "inconclusive"

    def test_before_and_after_the_marks(self) -> None:
        """What is outside of the window is not counted."""
        story = ticked(5, 5)
        story.passes(1)
        story.patch()
        story.deployment(counts=counts(0, 9))
        assert PATCHES(story.history()).outcome == "pass"


class TestConsumersUnchanged:
    def marked(self, before: int, after: int) -> Story:
        story = Story()
        for name, consumers in (("a", before), ("b", after)):
            story.asked(consumers=consumers)
            story.mark(name)
        return story

    def test_as_many(self) -> None:
        """Four streams with one each."""
        found = CONSUMERS(self.marked(1, 1).history())
        assert (found.outcome, found.reason) == ("pass", "4 consumers on 4 streams, at a and at b")

    @pytest.mark.parametrize("after", [0, 2, 51])
    def test_more_or_fewer(self, after: int) -> None:
        """One that was left behind, or one that is missing: both marks are the evidence."""
        found = CONSUMERS(self.marked(1, after).history())
        assert found.outcome == "fail"
        assert f"desired-state has {after} consumers, not 1" in found.reason
        assert len(found.evidence) == 2

    def test_none_at_all(self) -> None:
        """Without consumers nothing was shown."""
        assert CONSUMERS(self.marked(0, 0).history()).outcome == "inconclusive"

    def test_a_bucket_that_was_not_there(self) -> None:
        """A stream that was not read for a mark can't be compared."""
        story = Story()
        story.asked_and_marked("a")
        story.mark("b")
        assert CONSUMERS(story.history()).outcome == "inconclusive"
