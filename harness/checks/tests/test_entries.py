"""What was written by hand stands until something replaces it."""

from fleet.wire import Bucket
from harness.checks.entries import planted, replaces
from harness.checks.tests.hands import KEY, hands
from harness.checks.tests.story import desired


def test_what_replaces_an_entry() -> None:
    """A later value or marker under the same key, whoever wrote it; no earlier one, and none of another bucket."""
    story = hands()
    story.by_hand(Bucket.DESIRED_STATE, KEY)
    entry = planted(story.history())[0]
    before = len(story.records)
    story.stored(KEY, desired())
    story.by_hand(Bucket.DESIRED_STATE, KEY, action="delete")
    story.by_hand(Bucket.DEVICE_STATE, KEY)
    story.look(Bucket.DESIRED_STATE, KEY, 10**18)
    later = story.records[before:]
    assert [replaces(record, entry) for record in later] == [True, True, True, False, False]
    assert not any(replaces(record, entry) for record in story.records[:before])
