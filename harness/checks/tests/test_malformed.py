"""Each malformed entry is counted and named once, by every operator that could see it."""

from collections.abc import Mapping

import pytest

from fleet.wire import Bucket
from harness.checks.malformed import malformed_counted
from harness.checks.tests.hands import KEY, ODD, STATE_KEY, asked, hands
from harness.checks.tests.story import desired, report
from harness.history import Op


class TestMalformedCounted:
    def test_counted_and_named(self) -> None:
        """One entry, counted once and named once."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.told()
        assert asked(malformed_counted, story).outcome == "pass"

    @pytest.mark.parametrize(
        ("counted", "logged", "says"),
        [
            (0, {f"device-state {STATE_KEY}": 1}, "counted 0 of 1"),
            (1, {}, "0 times, not once"),
            (2, {f"device-state {STATE_KEY}": 2}, "2 times, not once"),
            (2, {f"device-state {STATE_KEY}": 1, "device-state state.d.app": 1}, "which is well-formed"),
        ],
        ids=["not counted", "not named", "named twice", "another named"],
    )
    def test_otherwise(self, counted: int, logged: Mapping[str, int], says: str) -> None:
        """A counter that lags, a key that is not named, or too often, or that is in order."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.told(counted=counted, logged=logged)
        finding = asked(malformed_counted, story)
        assert (finding.outcome, says in finding.reason) == ("fail", True)

    def test_the_same_key_twice(self) -> None:
        """Two values are counted twice; the key is named once."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY, "{}")
        story.told(counted=1)
        assert asked(malformed_counted, story).outcome == "fail"
        story.told(counted=2)
        assert asked(malformed_counted, story).outcome == "pass"

    def test_a_key_that_names_nothing(self) -> None:
        """Its value may be good: it is malformed all the same."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, ODD, desired())
        story.told(logged={})
        assert asked(malformed_counted, story).outcome == "fail"

    def test_only_what_an_operator_could_see(self) -> None:
        """What was replaced before it was started is not for it to count; what stood then is."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.process("exited")
        story.said(KEY, report(after_s=1))
        story.records[-1] = replaced_at(story.records[-1], 10_000)
        story.process("spawned", "operator-2")
        story.told("operator-2", counted=0, logged={})
        assert asked(malformed_counted, story).outcome == "inconclusive"
        story.by_hand(Bucket.DEVICE_STATE, STATE_KEY)
        story.told("operator-2", counted=1)
        assert asked(malformed_counted, story).outcome == "pass"

    def test_nobody_looked(self) -> None:
        """Without the operator's own word, or without an entry, nothing is said."""
        story = hands()
        assert asked(malformed_counted, story).outcome == "inconclusive"
        story.told(logged={})
        assert asked(malformed_counted, story).outcome == "inconclusive"


def replaced_at(record: object, revision: int) -> Op:
    assert isinstance(record, Op)
    return Op(
        at_s=record.at_s,
        client=record.client,
        action=record.action,
        target=record.target,
        invoked_s=record.invoked_s,
        outcome="ok",
        revision=revision,
        detail=record.detail,
    )
