"""Checks on an operator in a wrong world: what the devices run, what was written, and what was said."""

import pytest

from fleet.wire import Bucket
from harness.checks.judge import Check
from harness.checks.tests.story import MADE_US, Story, desired
from harness.checks.wrong_world import brake_told, fleet_kept, nothing_written, refusal_told
from harness.history import Process, Recovery, SourceProgress

KEPT = fleet_kept("wrong", "right")
NOTHING = nothing_written("wrong", "right")
BRAKE = brake_told("wrong", "right", "no Deployments")
REFUSED = refusal_told("wrong", "right", "cluster-a", "fleet-a")
THEIRS = "bucket desired-state belongs to namespace fleet-a of cluster cluster-a: nothing is written"


def told() -> Story:
    """One key, before the world goes wrong."""
    story = Story()
    story.device("d")
    story.deployment()
    story.stored("d.app", desired())
    story.patch()
    story.asked_and_marked("wrong")
    return story


def ended(story: Story, check: Check) -> tuple[str, str]:
    story.asked_and_marked("right")
    story.asked()
    finding = check(story.history())
    return finding.outcome, finding.reason


def test_a_key_that_is_left_alone_is_kept() -> None:
    """Nothing was written; or only another owner, or another key."""
    assert ended(told(), KEPT)[0] == "pass"
    story = told()
    story.stored("d.app", desired(uid="uid-other", generation=7))
    story.stored("d.new", desired())
    assert ended(story, KEPT)[0] == "pass"


def test_a_delete_marker_or_another_score_is_no_keeping() -> None:
    """Either makes a device stop or change what it runs, also if it is put right before the end."""
    story = told()
    story.stored("d.app", operation="delete")
    story.stored("d.app", desired())
    assert ended(story, KEPT) == (
        "fail",
        "of 1 keys that were live at wrong, 1 got a delete marker and 0 another score before right, first d.app",
    )
    story = told()
    story.stored("d.app", desired(image="registry.example/stranger:1"))
    assert "0 got a delete marker and 1 another score" in ended(story, KEPT)[1]
    story = told()
    story.stored("d.app", "garbage")
    assert ended(story, KEPT)[0] == "fail"


def test_a_purged_bucket_is_no_keeping() -> None:
    """No message tells of it; the broker's count does."""
    story = told()
    del story.newest["d.app"]
    assert ended(story, KEPT)[0] != "pass"


def test_what_nobody_saw_is_not_judged() -> None:
    """No live key, no window, a write that the witness missed."""
    story = Story()
    story.asked_and_marked("wrong")
    assert ended(story, KEPT)[0] == "inconclusive"
    story = told()
    assert KEPT(story.history()).outcome == "inconclusive"
    story.revision += 1
    assert ended(story, KEPT)[0] == "inconclusive"


def test_nothing_written() -> None:
    """Reads and refused worlds are fine; a key, an object or a bucket of an operator's is not."""
    assert ended(told(), NOTHING)[0] == "pass"
    story = told()
    story.patch(verb="list", resource="devices", subresource="")
    assert ended(story, NOTHING)[0] == "pass"
    story = told()
    story.stored("d.app", desired())
    assert "1 keys were written" in ended(story, NOTHING)[1]
    story = told()
    story.patch(verb="create", resource="devices", subresource="", name="d")
    assert "1 objects were, the first by create devices/d" in ended(story, NOTHING)[1]


def test_a_bucket_that_was_made_is_a_write() -> None:
    """Also an empty one: it carries the identity of whoever made it."""
    story = Story()
    story.patch()
    story.asked([Bucket.DEVICE_INFO])
    story.mark("wrong")
    story.asked([Bucket.DEVICE_INFO])
    story.asked([Bucket.DESIRED_STATE], first_seq=MADE_US)
    story.mark("right")
    finding = NOTHING(story.history())
    assert (finding.outcome, "bucket desired-state was made" in finding.reason) == ("fail", True)


def test_without_an_audit_log_nobody_knows() -> None:
    """No request at all, not even the harness's own: the witness was blind."""
    story = Story()
    story.asked_and_marked("wrong")
    assert ended(story, NOTHING)[0] == "inconclusive"


@pytest.mark.parametrize(
    ("held", "outcome"), [("1 keys wait: no Deployments at all", "pass"), ("21 keys would go", "fail"), (None, "fail")]
)
def test_the_brake_says_why(held: str | None, outcome: str) -> None:
    """The words must be about this, and be said within the window."""
    story = told()
    story.add(Recovery(at_s=story.at_s, process="operator-1", phase="Converged", sources={}, held=held))
    assert ended(story, BRAKE)[0] == outcome
    story.add(Recovery(at_s=story.at_s, process="operator-1", phase="Converged", sources={}, held="no Deployments"))
    assert BRAKE(story.history()).outcome == outcome


def test_whose_the_buckets_are_is_said() -> None:
    """As the last words of one that ended, or at /recovery of one that runs; nothing else will do."""
    story = told()
    story.add(Process(at_s=story.at_s, name="stranger", event="exited", pid=9, exit_code=3, last_words=THEIRS))
    assert ended(story, REFUSED)[0] == "pass"
    story = told()
    trouble = SourceProgress(seen=0, expected=None, current=False, trouble=THEIRS)
    sources = {"devices": trouble}
    story.add(Recovery(at_s=story.at_s, process="operator-1", phase="Recovering", sources=sources))
    assert ended(story, REFUSED)[0] == "pass"
    story = told()
    story.add(Process(at_s=story.at_s, name="stranger", event="exited", pid=9, exit_code=3, last_words="boom"))
    assert ended(story, REFUSED) == (
        "fail",
        "nobody said that the buckets belong to namespace fleet-a of cluster cluster-a; what was said is: boom",
    )
    assert "nobody said anything" in ended(told(), REFUSED)[1]
