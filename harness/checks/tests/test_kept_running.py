"""The check that services ran at one instant, seen to pass, to fail, and to say that it could not look."""

from harness.checks.kept_running import kept_running
from harness.checks.tests.story import Story

CHECK = kept_running("then", ("app/main",))


def test_what_ran_then() -> None:
    """A container that died and was started again before the mark is running; one that stayed down is not."""
    story = Story()
    assert CHECK(story.history()).outcome == "inconclusive"
    story.mark("then")
    assert CHECK(story.history()).outcome == "inconclusive"
    story.containers(("create", "start", "died"))
    story.mark("then")
    assert CHECK(story.history()).outcome == "fail"
    story.container("start")
    story.mark("then")
    story.container("died")
    assert CHECK(story.history()).outcome == "pass"
