"""The check that no object goes that nobody deleted."""

import pytest

from harness.checks.objects import objects_kept
from harness.checks.tests.story import Story


def asked(story: Story, verb: str, code: int = 200) -> None:
    story.patch(verb=verb, subresource="", code=code)


def made() -> Story:
    story = Story()
    asked(story, "create", 201)
    story.deployment(event="added")
    story.passes(10)
    return story


def test_an_empty_history_passes_nothing() -> None:
    """Nobody looked, so nobody knows."""
    assert objects_kept(Story().history()).outcome == "inconclusive"
    assert objects_kept(made().history()).outcome == "inconclusive"


@pytest.mark.parametrize("finalizer", [True, False])
def test_asked_to_go(finalizer: bool) -> None:
    """At once, or after whoever held it let it go."""
    story = made()
    asked(story, "delete")
    if finalizer:
        story.deployment(deleting=True)
        story.passes(10)
    story.deployment(event="deleted", deleting=finalizer)
    assert objects_kept(story.history()).outcome == "pass"


def test_gone_by_itself() -> None:
    """No request at all, or one that was refused."""
    story = made()
    asked(story, "delete", 403)
    line = story.deployment(event="deleted")
    found = objects_kept(story.history())
    assert (found.outcome, found.evidence) == ("fail", (line,))


def test_gone_with_its_predecessor() -> None:
    """The request was for the one of before: the successor was never asked to go."""
    story = made()
    asked(story, "delete")
    asked(story, "create", 201)
    story.deployment(event="deleted", deleting=True)
    story.deployment(event="added", uid="uid-second")
    story.passes(0.1)
    line = story.deployment(event="deleted", uid="uid-second")
    found = objects_kept(story.history())
    assert (found.outcome, found.evidence) == ("fail", (line,))
    assert "1 of 2 objects" in found.reason


def test_another_object() -> None:
    """A request for another name is none for this one."""
    story = made()
    story.patch(verb="delete", subresource="", name="other")
    story.patch(verb="delete", subresource="", resource="devices")
    story.deployment(event="deleted")
    assert objects_kept(story.history()).outcome == "fail"
