"""Checks on what a deployment leaves, and on what is said of bad words: each seen to pass, to fail, and not to know."""

from fleet.wire import Phase
from harness.checks.leftovers import LOOK_AT_DISK, nothing_made_of, said_of, said_why, torn_down
from harness.checks.succeeded import succeeded_at
from harness.checks.tests.story import TRUE, Story, desired, settled
from harness.history import HAND, Complaints, Op

GONE = torn_down("edge-1", "app")
WHY = said_why("edge-1", "app", "DesiredRefused", "bad", "refused", kept=True)


def looked_at_disk(story: Story, found: str = "") -> None:
    at_s, what = story.at_s, "edge-1/app"
    story.add(Op(at_s=at_s, client=HAND, action=LOOK_AT_DISK, target=what, invoked_s=at_s, outcome="ok", detail=found))


def running() -> Story:
    story = Story()
    story.stored("edge-1.app", desired())
    story.containers(("create", "start"))
    story.reports(ids={"main": "a"})
    return story


def test_torn_down() -> None:
    """Containers, report and files have to be gone; without a look at the disk nobody knows."""
    assert GONE(Story().history()).outcome == "inconclusive"
    story = running()
    assert "looked at the disk" in GONE(story.history()).reason
    looked_at_disk(story)
    assert "still runs" in GONE(story.history()).reason
    story.container("died", exit_code=0)
    assert "still is there" in GONE(story.history()).reason
    story.container("remove")
    assert "still reported as Running" in GONE(story.history()).reason
    story.reports(None)
    assert GONE(story.history()).outcome == "pass"
    looked_at_disk(story, "app.report")
    finding = GONE(story.history())
    assert finding.outcome == "fail"
    assert "app.report" in finding.reason


def test_torn_down_of_one_that_said_nothing() -> None:
    """That its report is gone shows nothing then."""
    story = Story()
    story.containers(("create", "start", "died", "remove"))
    looked_at_disk(story)
    assert GONE(story.history()).outcome == "inconclusive"


def test_nothing_made_of() -> None:
    """Up to the mark neither a container nor a report; what comes later is another matter."""
    check = nothing_made_of("edge-1", "app", "refused")
    story = Story()
    assert check(story.history()).outcome == "inconclusive"
    story.mark("refused")
    story.containers(("create", "start"))
    story.reports()
    assert check(story.history()).outcome == "pass"
    story.mark("refused")
    assert "1 containers were made" in check(story.history()).reason
    told = Story()
    told.reports(Phase.FAILED, error="DesiredRefused: no")
    told.mark("refused")
    assert "a report was stored" in check(told.history()).reason


def refused(*, generation: int = 1, ids: str = "a", error: str = "DesiredRefused: no JSON") -> Story:
    story = running()
    story.mark("bad")
    story.reports(Phase.FAILED, ids={"main": ids}, error=error, generation=generation)
    story.mark("refused")
    # A later word does not count.
    story.reports(generation=2)
    return story


def test_said_why() -> None:
    """The reason, under the owner and with the ids of what is kept; or under a later owner."""
    assert WHY(Story().history()).outcome == "inconclusive"
    assert WHY(refused().history()).outcome == "pass"
    assert "wanted was DesiredRefused" in WHY(refused(error="main: PortTaken: 80").history()).reason
    assert "the wrong owner" in WHY(refused(generation=2).history()).reason
    assert "other containers" in WHY(refused(ids="b").history()).reason
    later = said_why("edge-1", "app", "PortTaken", "bad", "refused", kept=False)
    assert later(refused(generation=2, error="main: PortTaken: 80", ids="b").history()).outcome == "pass"
    assert "the wrong owner" in later(refused(error="main: PortTaken: 80").history()).reason
    silent = running()
    silent.mark("bad")
    silent.mark("refused")
    assert "as Running, no error" in WHY(silent.history()).reason


def test_said_why_without_a_report_before() -> None:
    """Nobody knows what would be kept."""
    story = Story()
    story.mark("bad")
    story.mark("refused")
    assert WHY(story.history()).outcome == "inconclusive"


def test_said_of() -> None:
    """So many lines, summed up over the lives whose logs were read; a log that was read twice counts once."""
    check = said_of("desired_refused app")
    story = Story()
    assert check(story.history()).outcome == "inconclusive"

    def read(process: str, times: int) -> None:
        story.add(Complaints(at_s=0, process=process, counted={}, logged={"desired_refused app": times, "x": 9}))

    read("edge-1-agent-1", 0)
    assert "0 lines" in check(story.history()).reason
    read("edge-1-agent-1", 1)
    assert check(story.history()).outcome == "pass"
    read("edge-1-agent-2", 2)
    assert check(story.history()).outcome == "fail"
    assert said_of("desired_refused app", times_max=3)(story.history()).outcome == "pass"


def test_succeeded_at() -> None:
    """What the status said by then, and not what it says later."""
    check = succeeded_at("applied", "app", 2)
    story = settled(2)
    assert check(story.history()).outcome == "inconclusive"
    story.mark("applied")
    story.deployment(counts={**TRUE, "matched": 2, "succeeded": 1, "pending": 1})
    assert check(story.history()).outcome == "pass"
    story.mark("applied")
    finding = check(story.history())
    assert finding.outcome == "fail"
    assert "pending=1" in finding.reason
