"""The checks on what a change costs: exactly the keys that it concerns, each once, and many only when approved."""

import pytest

from harness.checks.difference import held_by_brake, keys_purged, keys_written, others_kept
from harness.checks.judge import Check
from harness.checks.tests.story import Story, desired, settled, spec_of

NAMES = tuple(f"site.rack.device-{i}" for i in range(3))
KEYS = tuple(f"{name}.app" for name in NAMES)
ONE, TWO, THREE = KEYS
LATE = "site.rack.late"
PURGED = keys_purged("down", "settled", 1)
WRITTEN = keys_written("down", "settled", 1)
KEPT = others_kept("down", "settled")
HELD = held_by_brake("down", "approved", "settled", 1)
ALL = {"purged": PURGED, "written": WRITTEN, "kept": KEPT, "held": HELD}


def begun() -> Story:
    """Three settled devices; then the first is selected no more, and a fourth is."""
    story = settled(3)
    story.asked_and_marked("down")
    story.device(NAMES[0], labels={"group": "other"})
    story.device(LATE)
    return story


def ended(story: Story) -> Story:
    story.asked_and_marked("settled")
    story.asked()
    return story


def sound() -> Story:
    story = begun()
    story.stored(f"{LATE}.app", desired())
    story.recovery("Converged", held='{"count": 1}')
    story.asked_and_marked("approved")
    story.stored(ONE, operation="delete")
    return ended(story)


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_sound(check: Check) -> None:
    """The one that went got its marker, the one that came its key, two were left alone."""
    finding = check(sound().history())
    assert finding.outcome == "pass", finding


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_without_the_marks_nobody_knows(check: Check) -> None:
    """Nothing happened, or nobody wrote down when."""
    assert check(Story().history()).outcome == "inconclusive"
    story = settled(3)
    story.asked_and_marked("settled")
    assert check(story.history()).outcome == "inconclusive"


@pytest.mark.parametrize("check", ALL.values(), ids=ALL)
def test_a_witness_that_missed_something(check: Check) -> None:
    """Writes that nobody saw can't be judged, in the window or at the end."""
    story = begun()
    story.recovery("Converged", held="yes")
    story.asked_and_marked("approved")
    story.revision += 3
    assert check(ended(story).history()).outcome == "inconclusive"
    story = sound()
    story.asked(messages=17)
    assert check(story.history()).outcome == "inconclusive"


@pytest.mark.parametrize("check", [PURGED, WRITTEN, HELD], ids=["purged", "written", "held"])
def test_another_number_than_the_case_expects(check: Check) -> None:
    """A world that did not change as the case meant shows nothing."""
    story = settled(3)
    story.asked_and_marked("down")
    story.asked_and_marked("approved")
    finding = check(ended(story).history())
    assert finding.outcome == "inconclusive"
    assert "not 1" in finding.reason


class TestPurged:
    def test_left(self) -> None:
        """A key that nobody wants any more and that stays."""
        finding = PURGED(ended(begun()).history())
        assert finding.outcome == "fail"
        assert f"1 got no delete marker, e.g. {ONE}; 0 other" in finding.reason

    def test_another(self) -> None:
        """A key that is wanted got a marker, also if it is there again."""
        story = begun()
        line = story.stored(TWO, operation="delete")
        story.stored(TWO, desired())
        last = story.stored(ONE, operation="delete")
        finding = PURGED(ended(story).history())
        assert finding.outcome == "fail"
        assert f"0 got no delete marker; 1 other keys got one, e.g. {TWO}" in finding.reason
        assert finding.evidence == (line, last)

    def test_twice(self) -> None:
        """One marker is enough: the second tells the device nothing new."""
        story = begun()
        for _ in range(2):
            story.stored(ONE, operation="delete")
        finding = PURGED(ended(story).history())
        assert finding.outcome == "fail"
        assert "1 got more than one" in finding.reason


class TestWritten:
    def test_missing(self) -> None:
        """A key that is newly wanted was not written."""
        finding = WRITTEN(ended(begun()).history())
        assert finding.outcome == "fail"
        assert f"1 were not written, e.g. {LATE}.app" in finding.reason

    @pytest.mark.parametrize("operation", ["put", "delete"])
    def test_more_than_once(self, operation: str) -> None:
        """Written again, or taken back on the way."""
        story = begun()
        story.stored(f"{LATE}.app", desired())
        if operation == "delete":
            story.stored(f"{LATE}.app", operation="delete")
        story.stored(f"{LATE}.app", desired())
        finding = WRITTEN(ended(story).history())
        assert finding.outcome == "fail"
        assert "1 more than once" in finding.reason

    @pytest.mark.parametrize("changed", ["image", "uid"])
    def test_wanted_otherwise(self, changed: str) -> None:
        """Another score, or another Deployment of that name, is to be written to each device."""
        story = settled(3)
        story.asked_and_marked("down")
        if changed == "image":
            story.deployment(spec=spec_of("registry.example/app:2"), generation=2)
        else:
            story.deployment(event="deleted")
            story.deployment(uid="uid-again")
        for key in KEYS:
            story.stored(key, desired(image="registry.example/app:2") if changed == "image" else desired("uid-again"))
        history = ended(story).history()
        assert keys_written("down", "settled", 3)(history).outcome == "pass"
        assert KEPT(history).outcome == "inconclusive"


class TestKept:
    @pytest.mark.parametrize("operation", ["put", "delete"])
    def test_touched(self, operation: str) -> None:
        """Written once more with the same bytes, or deleted and written again: its device hears of it."""
        story = begun()
        lines = [story.stored(TWO, operation="delete")] if operation == "delete" else []
        lines.append(story.stored(TWO, desired()))
        finding = KEPT(ended(story).history())
        assert finding.outcome == "fail"
        deleted = int(operation == "delete")
        assert finding.reason.startswith("1 of 2 keys that were as they should be were touched, e.g.")
        assert finding.reason.endswith(f"{deleted} of them deleted")
        assert finding.evidence == tuple(lines)

    def test_only_what_is_concerned(self) -> None:
        """What is written to a key that is new, or deleted of one that nobody wants, touches no other."""
        assert KEPT(sound().history()).reason == "2 keys that are as they should be kept their revisions"


class TestHeld:
    def test_early(self) -> None:
        """Deleted before anybody approved: there was no brake."""
        story = begun()
        story.stored(ONE, operation="delete")
        story.asked_and_marked("approved")
        finding = HELD(ended(story).history())
        assert finding.outcome == "fail"
        assert f"1 keys were deleted before anybody approved, e.g. {ONE}" in finding.reason

    def test_nobody_said_so(self) -> None:
        """Nothing was deleted, and nobody could know what to approve."""
        story = begun()
        story.recovery("Converged")
        story.asked_and_marked("approved")
        story.stored(ONE, operation="delete")
        finding = HELD(ended(story).history())
        assert finding.outcome == "fail"
        assert "no operator said that it holds a sweep" in finding.reason

    @pytest.mark.parametrize("deleted", [[], [ONE, TWO]], ids=["nothing", "another too"])
    def test_not_what_was_approved(self, deleted: list[str]) -> None:
        """After the yes exactly those keys go."""
        story = begun()
        story.recovery("Converged", held="one key")
        story.asked_and_marked("approved")
        for key in deleted:
            story.stored(key, operation="delete")
        finding = HELD(ended(story).history())
        assert finding.outcome == "fail"
        expected = "0 of 1 keys were not deleted" if deleted else "1 of 1 keys were not deleted"
        assert expected in finding.reason

    def test_without_the_yes(self) -> None:
        """The case never came to approve it."""
        story = begun()
        story.stored(ONE, operation="delete")
        assert HELD(ended(story).history()).outcome == "inconclusive"
