"""Keys that name nothing are left alone, orphans are swept, and what is wanted is not touched."""

import pytest

from fleet.wire import Bucket
from harness.checks.entries import planted
from harness.checks.judge import Finding
from harness.checks.odd_keys import left_alone, orphans_swept, wanted_keys_untouched
from harness.checks.tests.hands import BAD, KEY, ODD, ORPHAN, asked, hands
from harness.checks.tests.story import desired, report


class TestLeftAlone:
    @pytest.mark.parametrize("bucket", list(Bucket))
    def test_left(self, bucket: Bucket) -> None:
        """It stands at the revision at which it was written."""
        story = hands()
        story.by_hand(bucket, ODD)
        story.look(bucket, ODD, planted(story.history())[-1].revision)
        assert asked(left_alone, story).outcome == "pass"

    @pytest.mark.parametrize("revision", [None, 5])
    def test_gone_or_written_again(self, revision: int | None) -> None:
        """Gone, or of another revision."""
        story = hands()
        story.by_hand(Bucket.DEVICE_STATE, ODD)
        story.look(Bucket.DEVICE_STATE, ODD, revision)
        assert asked(left_alone, story).outcome == "fail"

    def test_deleted_as_the_witness_saw(self) -> None:
        """A delete marker over it."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, ODD)
        revision = planted(story.history())[-1].revision
        story.stored(ODD, "", "delete")
        story.look(Bucket.DESIRED_STATE, ODD, revision)
        assert asked(left_alone, story).outcome == "fail"

    def test_it_could_not_look(self) -> None:
        """No such key, or nobody read it afterwards."""
        story = hands()
        story.by_hand(Bucket.DESIRED_STATE, KEY)
        assert asked(left_alone, story).outcome == "inconclusive"
        story.by_hand(Bucket.DESIRED_STATE, ODD)
        assert asked(left_alone, story).outcome == "inconclusive"


class TestOrphansSwept:
    def ending(self, bucket: Bucket, key: str, value: str, *operations: str) -> Finding:
        story = hands()
        story.by_hand(bucket, key, value)
        for operation in operations:
            story.stored(ORPHAN, "", "delete") if operation == "delete" else story.stored(ORPHAN, desired())
        story.asked()
        return asked(orphans_swept, story)

    @pytest.mark.parametrize("value", [BAD, desired()], ids=["malformed", "good"])
    def test_swept(self, value: str) -> None:
        """Whatever its value, one delete marker."""
        assert self.ending(Bucket.DESIRED_STATE, ORPHAN, value, "delete").outcome == "pass"

    def test_a_report_of_it(self) -> None:
        """A good report of an unwanted pair gets a marker; a malformed one reports nothing."""
        assert self.ending(Bucket.DEVICE_STATE, f"state.{ORPHAN}", report(), "delete").outcome == "pass"
        assert self.ending(Bucket.DEVICE_STATE, f"state.{ORPHAN}", report()).outcome == "fail"
        assert self.ending(Bucket.DEVICE_STATE, f"state.{ORPHAN}", BAD).outcome == "inconclusive"

    @pytest.mark.parametrize("operations", [[], ["delete", "put"], ["delete", "delete"]], ids=["left", "back", "twice"])
    def test_not_swept(self, operations: list[str]) -> None:
        """Left, written again, or deleted twice."""
        assert self.ending(Bucket.DESIRED_STATE, ORPHAN, desired(), *operations).outcome == "fail"

    @pytest.mark.parametrize("key", [KEY, ODD], ids=["wanted", "names nothing"])
    def test_no_orphan(self, key: str) -> None:
        """What is wanted, and what names nothing, is none."""
        assert self.ending(Bucket.DESIRED_STATE, key, desired()).outcome == "inconclusive"


class TestWantedKeysUntouched:
    check = wanted_keys_untouched("struck", "end")

    def test_untouched(self) -> None:
        """Others may be written."""
        story = hands()
        story.stored(ORPHAN, "", "delete")
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "pass"

    def test_touched(self) -> None:
        """One that is wanted was written."""
        story = hands()
        story.stored(KEY, desired())
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "fail"

    def test_it_could_not_look(self) -> None:
        """No window, or a witness that missed a write."""
        assert asked(self.check, hands()).outcome == "inconclusive"
        story = hands()
        story.revision += 1
        story.asked_and_marked("end")
        assert asked(self.check, story).outcome == "inconclusive"
