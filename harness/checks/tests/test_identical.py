"""Puts of one value are one and the same bytes, and the canonical ones."""

import json

from harness.checks.identical import writes_byte_identical
from harness.checks.tests.story import Story, desired, settled

TARGET = "site.rack.device-0.app"


def spaced(value: str) -> str:
    return json.dumps(json.loads(value))


def test_canonical_and_repeated() -> None:
    """Written twice in the same bytes, and once for another generation."""
    story = settled()
    story.stored(TARGET, desired())
    story.stored(TARGET, desired(generation=2))
    found = writes_byte_identical(story.history())
    assert found.outcome == "pass"
    assert "2 of them once more" in found.reason


def test_another_value_is_no_repetition() -> None:
    """Another score or another owner is another value."""
    story = settled()
    story.stored(TARGET, desired(image="x"))
    story.stored(TARGET, desired("uid-new"))
    assert "3 values were put, 0 of them" in writes_byte_identical(story.history()).reason


def test_a_second_encoder() -> None:
    """The same value in other bytes: both lines are named."""
    story = settled()
    line = story.stored(TARGET, spaced(desired()))
    found = writes_byte_identical(story.history())
    assert (found.outcome, found.evidence) == ("fail", (line,))
    assert "says the same in other bytes" in found.reason


def test_one_that_is_not_canonical_by_itself() -> None:
    """Nobody wrote it otherwise, and it is wrong all the same."""
    story = Story()
    story.stored(TARGET, spaced(desired()))
    found = writes_byte_identical(story.history())
    assert found.outcome == "fail"
    assert "other bytes" not in found.reason


def test_malformed() -> None:
    """No device can read it."""
    story = settled()
    line = story.stored(TARGET, "{}")
    found = writes_byte_identical(story.history())
    assert (found.outcome, found.evidence) == ("fail", (line,))


def test_deletes_are_no_puts() -> None:
    """Where nothing but markers was stored, nothing was shown."""
    story = Story()
    story.stored(TARGET, "", "delete")
    assert writes_byte_identical(story.history()).outcome == "inconclusive"
