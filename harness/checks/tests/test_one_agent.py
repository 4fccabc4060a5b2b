"""The check that one agent acts, seen to pass, to fail, and to say that it could not look."""

from fleet.wire import Heartbeat
from harness.checks.one_agent import one_acts
from harness.checks.tests.story import Story
from harness.history import KvEntry

CHECK = one_acts("both", "alone")


def beat(story: Story, instance: str) -> None:
    value = Heartbeat("1.0.0", instance, 1, busy=False).encode().decode()
    story.add(
        KvEntry(
            at_s=story.at_s,
            bucket="device-heartbeat",
            key="heartbeat.edge-1",
            operation="put",
            revision=1,
            previous=0,
            value=value,
        )
    )


def test_one_agent_acts() -> None:
    """Beats of one instance between the marks pass, of two fail; none, or no marks, show nothing."""
    story = Story()
    beat(story, "earlier")
    story.mark("both")
    assert CHECK(story.history()).outcome == "inconclusive"
    quiet = Story()
    quiet.mark("both")
    quiet.mark("alone")
    assert CHECK(quiet.history()).outcome == "inconclusive"
    for instance, outcome in (("one", "pass"), ("other", "fail")):
        beat(story, instance)
        story.mark("alone")
        assert CHECK(story.history()).outcome == outcome
