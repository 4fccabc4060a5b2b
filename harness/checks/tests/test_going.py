"""The checks on what goes with a deleted object, what stays of it, and what comes back."""

from harness.checks.going import (
    PUBLISHED,
    deleted_objects_gone,
    device_rebuilt,
    devices_forgotten,
    reports_withdrawn,
)
from harness.checks.tests.story import Story, desired, report, settled

NAMES = ("site.rack.device-0", "site.rack.device-1")
ONE, TWO = (f"{name}.app" for name in NAMES)
WITHDRAWN = reports_withdrawn("down")
REBUILT = device_rebuilt(NAMES[:1], ("group=g0",))


class TestDeletedObjectsGone:
    def test_gone(self) -> None:
        """It waited for its finalizer, and went."""
        story = settled()
        story.deployment(deleting=True)
        story.deployment(deleting=True, event="deleted")
        assert deleted_objects_gone(story.history()).outcome == "pass"

    def test_stays(self) -> None:
        """The line at which it was first seen going is the evidence; another one of its name does not help."""
        story = settled()
        line = story.deployment(deleting=True)
        story.deployment(deleting=True)
        story.device(NAMES[0], deleting=True)
        story.device(NAMES[0], deleting=True, event="deleted")
        finding = deleted_objects_gone(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))
        assert "1 objects were deleted and are still there, e.g. Deployment app" in finding.reason

    def test_nobody_waited(self) -> None:
        """One that went at once had no finalizer."""
        story = settled()
        story.deployment(event="deleted")
        assert deleted_objects_gone(story.history()).outcome == "inconclusive"


class TestReportsWithdrawn:
    def test_withdrawn(self) -> None:
        """The device tore down and says so."""
        story = settled(2)
        story.mark("down")
        story.stored(ONE, operation="delete")
        story.said(ONE, action="delete device-state")
        assert WITHDRAWN(story.history()).reason == "1 reports were withdrawn after their keys were deleted"

    def test_still_there(self) -> None:
        """Its key is gone and its report is not; a withdrawal that nobody acknowledged is none."""
        story = settled(2)
        line = story.said(ONE, report(after_s=1))
        story.mark("down")
        story.stored(ONE, operation="delete")
        story.said(ONE, action="delete device-state", outcome="info")
        finding = WITHDRAWN(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))
        assert ONE in finding.reason

    def test_without_power(self) -> None:
        """It cannot know yet; once it is back it has to."""
        story = settled(2)
        story.mark("down")
        story.acted(NAMES[0], "silence")
        story.stored(ONE, operation="delete")
        assert WITHDRAWN(story.history()).outcome == "inconclusive"
        story.acted(NAMES[0], "resume")
        assert WITHDRAWN(story.history()).outcome == "fail"

    def test_a_key_that_is_back(self) -> None:
        """What was written again is reported about again."""
        story = settled(2)
        story.mark("down")
        story.stored(ONE, operation="delete")
        story.stored(ONE, desired())
        assert WITHDRAWN(story.history()).outcome == "inconclusive"

    def test_before_the_mark(self) -> None:
        """Only what was lost after the mark counts, and there has to be one."""
        story = settled(2)
        story.stored(ONE, operation="delete")
        assert WITHDRAWN(story.history()).outcome == "inconclusive"
        story.mark("down")
        assert WITHDRAWN(story.history()).outcome == "inconclusive"


class TestDeviceRebuilt:
    def test_there_again(self) -> None:
        """Another object under that name, with those labels."""
        story = settled(2)
        story.device(NAMES[0], event="deleted")
        line = story.resource("Device", NAMES[0], uid="uid-again", labels={"group": "g0"})
        finding = REBUILT(story.history())
        assert (finding.outcome, finding.evidence) == ("pass", (line,))

    def test_not_there(self) -> None:
        """Gone, and nobody made it again; or the same one that lingers."""
        story = settled(2)
        story.device(NAMES[0], event="deleted")
        assert REBUILT(story.history()).outcome == "fail"
        story.device(NAMES[0])
        assert REBUILT(story.history()).outcome == "fail"

    def test_other_labels(self) -> None:
        """With labels that the device never told of itself, or without."""
        story = settled(2)
        story.device(NAMES[0], event="deleted")
        story.resource("Device", NAMES[0], uid="uid-again")
        finding = REBUILT(story.history())
        assert (finding.outcome, finding.reason) == (
            "fail",
            f"Device {NAMES[0]} is there again with no labels, not group=g0",
        )
        story.resource("Device", NAMES[0], uid="uid-again", labels={"tier": "edge"})
        assert "with tier=edge, not group=g0" in REBUILT(story.history()).reason
        finding = device_rebuilt(NAMES[:1], ())(story.history())
        assert finding.reason.endswith("not without any")

    def test_never_gone(self) -> None:
        """Then it could not be made again."""
        assert REBUILT(settled(2).history()).outcome == "inconclusive"
        assert REBUILT(Story().history()).outcome == "inconclusive"


class TestDevicesForgotten:
    def test_nothing_left(self) -> None:
        """The newest look counts."""
        story = settled(2)
        story.said(NAMES[0], "info.site.rack.device-0", action=PUBLISHED)
        assert devices_forgotten(story.history()).outcome == "fail"
        story.said(NAMES[0], action=PUBLISHED)
        assert devices_forgotten(story.history()).outcome == "pass"

    def test_something_left(self) -> None:
        """What it is, and on which line it was seen."""
        story = settled(2)
        story.said(NAMES[0], action=PUBLISHED)
        line = story.said(NAMES[1], f"state.{TWO}", action=PUBLISHED)
        finding = devices_forgotten(story.history())
        assert (finding.outcome, finding.evidence) == ("fail", (line,))
        assert finding.reason == f"1 of 2 devices left something: state.{TWO}"

    def test_nobody_looked(self) -> None:
        """Without a look nobody knows."""
        assert devices_forgotten(settled().history()).outcome == "inconclusive"
