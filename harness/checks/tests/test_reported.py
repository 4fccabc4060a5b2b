"""What counts as succeeded was reported, what nobody reports about is pending; each is red as soon as it is not."""

import pytest

from harness.checks.reported import pending_without_report, succeeded_only_reported
from harness.checks.tests.story import GROUP, Story, desired, report, spec_of, status_of

PENDING = {"matched": 1, "succeeded": 0, "pending": 1, "failed": 0}
SUCCEEDED = {"matched": 1, "succeeded": 1, "pending": 0, "failed": 0}


def shown(story: Story, counts: dict[str, int]) -> int:
    return story.resource("Deployment", "app", uid="uid-app", spec=spec_of(), status=status_of(counts))


@pytest.fixture
def story() -> Story:
    """One device that runs what it should, and says so."""
    story = Story()
    story.resource("Device", "device-0", event="added", labels=GROUP)
    story.resource("Deployment", "app", event="added", uid="uid-app", spec=spec_of())
    story.stored("device-0.app", desired())
    story.said("device-0.app", report())
    shown(story, SUCCEEDED)
    return story


def lost(story: Story) -> None:
    story.said("device-0.app", action="delete device-state")
    story.asked_and_marked("restart")


def test_what_was_reported_may_count(story: Story) -> None:
    """Before the loss, after the report that follows it, and not in between."""
    lost(story)
    shown(story, PENDING)
    story.said("device-0.app", report(after_s=1))
    shown(story, SUCCEEDED)
    finding = succeeded_only_reported("restart")(story.history())
    assert finding.outcome == "pass"
    assert finding.reason.startswith("2 statuses")


def test_what_nobody_reports_may_not(story: Story) -> None:
    """A status that stands from before is not written anew; one that is written again is ahead."""
    lost(story)
    shown(story, SUCCEEDED)
    assert succeeded_only_reported("restart")(story.history()).outcome == "pass"
    shown(story, PENDING)
    line = shown(story, SUCCEEDED)
    story.said("device-0.app", report(after_s=1))
    finding = succeeded_only_reported("restart")(story.history())
    assert finding.outcome == "fail"
    assert "app counts 1 succeeded when 0 devices had reported so" in finding.reason
    assert finding.evidence == (line,)


@pytest.mark.parametrize("detail", [report().replace("Running", "Failed"), "no report at all"])
def test_other_reports_do_not_count(story: Story, detail: str) -> None:
    """A failure, or what nobody can read."""
    story.mark("restart")
    story.said("device-0.app", detail)
    shown(story, PENDING)
    shown(story, SUCCEEDED)
    assert succeeded_only_reported("restart")(story.history()).outcome == "fail"


def test_a_report_without_an_answer_may_count(story: Story) -> None:
    """The broker may have stored it; one that it refused was never there."""
    lost(story)
    shown(story, PENDING)
    story.said("device-0.app", report(after_s=1), outcome="fail")
    assert succeeded_only_reported("restart")(story.history()).outcome == "pass"
    story.said("device-0.app", report(after_s=1), outcome="info")
    shown(story, SUCCEEDED)
    assert succeeded_only_reported("restart")(story.history()).outcome == "pass"


def test_nothing_to_look_at(story: Story) -> None:
    """No mark, or no Deployment."""
    assert succeeded_only_reported("restart")(story.history()).outcome == "inconclusive"
    empty = Story()
    empty.mark("restart")
    assert succeeded_only_reported("restart")(empty.history()).outcome == "inconclusive"


@pytest.mark.parametrize(("counts", "outcome"), [(PENDING, "pass"), (SUCCEEDED, "fail"), (None, "fail")])
def test_pending_without_report(story: Story, counts: dict[str, int] | None, outcome: str) -> None:
    """What counts is what stood there at the mark: the old status, if nobody wrote a new one."""
    lost(story)
    if counts is not None:
        shown(story, counts)
    story.asked_and_marked("seeded")
    story.said("device-0.app", report(after_s=1))
    shown(story, SUCCEEDED)
    assert pending_without_report("seeded", 1)(story.history()).outcome == outcome


def test_another_number_of_pairs(story: Story) -> None:
    """A world that is not as the case meant shows nothing; nor does one without the mark."""
    lost(story)
    shown(story, PENDING)
    assert pending_without_report("seeded", 1)(story.history()).outcome == "inconclusive"
    story.asked_and_marked("seeded")
    finding = pending_without_report("seeded", 2)(story.history())
    assert finding.outcome == "inconclusive"
    assert "about 1 pairs" in finding.reason
