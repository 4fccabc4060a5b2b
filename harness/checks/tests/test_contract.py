"""The checks on the buckets, and the one on a step that was to be reached."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleet.wire import Bucket
from harness.checks.contract import buckets_honour_contract, buckets_kept, new_buckets_start_high
from harness.checks.gate import step_reached
from harness.checks.judge import EVIDENCE_LINES_MAX, Check, failed, inconclusive, judge, passed
from harness.checks.tests.story import MADE_AT, MADE_US, Story

REST = tuple(bucket for bucket in Bucket if bucket is not Bucket.DEVICE_INFO)
LATER = MADE_AT + timedelta(hours=1)


def story_of(*steps: Callable[[Story], object]) -> Story:
    story = Story()
    for step in steps:
        step(story)
    return story


@pytest.mark.parametrize("check", [buckets_honour_contract, new_buckets_start_high, buckets_kept, step_reached("p", 1)])
def test_an_empty_history_passes_nothing(check: Check) -> None:
    """No bucket was seen, no step was reached."""
    assert check(Story().history()).outcome != "pass"


class TestHonourContract:
    def test_honoured(self) -> None:
        """The last reading counts: a bucket that was mended is fine."""
        story = story_of(lambda s: s.asked(history_per_key=5), lambda s: s.mark("end"), Story.asked)
        assert buckets_honour_contract(story.history()).outcome == "pass"

    @pytest.mark.parametrize("wrong", ["history", "republish"])
    def test_made_otherwise(self, wrong: str) -> None:
        """A setting that differs fails, and is named."""
        story = Story()
        story.asked(history_per_key=5 if wrong == "history" else 1, republished=wrong != "republish")
        found = buckets_honour_contract(story.history())
        assert found.outcome == "fail"
        assert found.evidence[0] == 1

    def test_never_made(self) -> None:
        """A bucket that nobody made is missing."""
        found = buckets_honour_contract(story_of(lambda s: s.asked(REST)).history())
        assert found.outcome == "fail"
        assert "device-info is not there" in found.reason

    def test_gone_at_the_end(self) -> None:
        """A bucket that was there at an earlier mark and is no more is missing too."""
        story = story_of(Story.asked, lambda s: s.mark("start"), lambda s: s.asked(REST))
        assert "device-info is not there" in buckets_honour_contract(story.history()).reason


class TestStartHigh:
    @pytest.mark.parametrize(
        ("first_seq", "outcome"),
        [
            (MADE_US, "pass"),
            (MADE_US - 59_000_000, "pass"),
            (MADE_US + 50_000, "pass"),
            (1, "fail"),
            (MADE_US - 61_000_000, "fail"),
            (MADE_US // 1_000, "fail"),
            (MADE_US * 1_000, "fail"),
        ],
    )
    def test_unit(self, first_seq: int, outcome: str) -> None:
        """Microseconds of its making, give or take two clocks; not milliseconds, not nanoseconds."""
        story = Story()
        story.asked([Bucket.DEVICE_INFO], first_seq=first_seq)
        assert new_buckets_start_high(story.history()).outcome == outcome

    def test_the_one_made_again_is_looked_at(self) -> None:
        """A bucket that was made well and then made again badly reuses revisions."""
        story = Story()
        story.asked()
        line = story.asked([Bucket.DEVICE_INFO], made_at=LATER, first_seq=1)
        found = new_buckets_start_high(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))

    def test_a_first_revision_that_moved_up(self) -> None:
        """What was superseded is gone from the stream: only its first reading tells where it began."""
        story = Story()
        story.asked([Bucket.DEVICE_INFO])
        story.asked([Bucket.DEVICE_INFO], first_seq=MADE_US + 10**9)
        assert new_buckets_start_high(story.history()).outcome == "pass"


class TestKept:
    def test_kept(self) -> None:
        """Read twice, made once."""
        assert buckets_kept(story_of(Story.asked, lambda s: s.mark("a"), Story.asked).history()).outcome == "pass"

    def test_made_again(self) -> None:
        """Another time of making is another bucket; both places are the evidence."""
        story = Story()
        first = story.asked([Bucket.DEVICE_STATE])
        again = story.asked([Bucket.DEVICE_STATE], made_at=LATER)
        found = buckets_kept(story.history())
        assert (found.outcome, found.evidence) == ("fail", (first, again))

    def test_gone(self) -> None:
        """A bucket that is not there any more was not kept."""
        story = story_of(Story.asked, lambda s: s.mark("a"), lambda s: s.asked(REST))
        found = buckets_kept(story.history())
        assert found.outcome == "fail"
        assert "device-info" in found.reason


class TestStepReached:
    check = staticmethod(step_reached("patch", 2))

    def test_reached(self) -> None:
        """Held, then the fault, then dropped."""
        story = story_of(
            lambda s: s.gate("held"),
            lambda s: s.fault("applied"),
            lambda s: s.fault("proved-active"),
            lambda s: s.gate("dropped"),
        )
        found = self.check(story.history())
        assert (found.outcome, found.evidence) == ("pass", (1, 4))

    @pytest.mark.parametrize(
        "steps",
        [
            ["held"],
            ["held", "fault"],
            ["held", "fault", "released"],
            ["held", "dropped"],
            ["fault", "held", "dropped"],
            ["held", "dropped", "fault"],
            ["held", "fault", "dropped", "held"],
        ],
        ids=" ".join,
    )
    def test_not_reached(self, steps: list[str]) -> None:
        """Anything else shows no kill at that step."""
        story = Story()
        for step in steps:
            if step == "fault":
                story.fault("proved-active")
            else:
                story.gate("held" if step == "held" else "dropped" if step == "dropped" else "released")
        assert self.check(story.history()).outcome == "inconclusive"

    @pytest.mark.parametrize(("ordinal", "rule"), [(1, "patch"), (2, "other")])
    def test_another_request(self, ordinal: int, rule: str) -> None:
        """The k-th of that rule is meant, not just any."""
        story = Story()
        story.gate("held", ordinal, rule)
        story.fault("proved-active")
        story.gate("dropped", ordinal, rule)
        assert self.check(story.history()).outcome == "inconclusive"


class TestJudgement:
    def test_the_worst_counts(self) -> None:
        """One failure outranks doubt, doubt outranks passes, and no check at all is doubt."""
        history = Story().history()
        good, bad, doubt = (lambda _, f=make: f("c", "r") for make in (passed, failed, inconclusive))
        assert judge(history, [good]).outcome == "pass"
        assert judge(history, [good, doubt]).outcome == "inconclusive"
        assert judge(history, [good, doubt, bad]).outcome == "fail"
        assert judge(history, []).outcome == "inconclusive"

    def test_evidence_is_bounded(self) -> None:
        """A finding shows the first lines of many."""
        assert failed("c", "r", range(1, 100)).evidence == tuple(range(1, EVIDENCE_LINES_MAX + 1))
