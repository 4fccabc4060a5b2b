"""`latch-never-early`: red as soon as a source is current with less than there was, or Converged without it."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from fleet.wire import Bucket
from harness.checks.latch import GATING, latch_never_early
from harness.checks.tests.story import Story
from harness.history import Recovery, SourceProgress

THERE = 4


Seen = Mapping[str, tuple[int, bool]]
ALL: Seen = MappingProxyType({})
NOTHING: Seen = dict.fromkeys(GATING, (0, False))


NOTHING_CURRENT: Seen = dict.fromkeys(GATING, (0, True))


def told(story: Story, phase: str, seen: Seen = ALL, *, process: str = "operator-2") -> int:
    """/recovery of an operator whose sources have seen all, but those that are given: (seen, current)."""
    sources = {
        source: SourceProgress(seen=count, expected=THERE, current=current)
        for source in GATING
        for count, current in [seen.get(source, (THERE, True))]
    }
    return story.add(Recovery(at_s=story.at_s, process=process, phase=phase, sources=sources))


def held(story: Story, messages: int = THERE) -> None:
    story.asked((Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT, Bucket.DESIRED_STATE), messages=messages)


@pytest.fixture
def story() -> Story:
    """So many objects, and as many keys in each bucket."""
    story = Story()
    for number in range(THERE):
        story.resource("Deployment", f"app-{number}", event="added", uid=f"uid-{number}")
        story.resource("Device", f"device-{number}", event="added", uid=f"uid-d{number}")
    held(story)
    story.mark("restart")
    return story


def test_complete_replays(story: Story) -> None:
    """All was seen when all was said to be."""
    told(story, "Recovering", NOTHING)
    told(story, "Recovering", {"desired-state": (2, False)})
    told(story, "Converged")
    held(story)
    finding = latch_never_early(story.history())
    assert finding.outcome == "pass"
    assert "5 replays" in finding.reason


@pytest.mark.parametrize("source", GATING)
def test_a_partial_replay(story: Story, source: str) -> None:
    """Any of the five, whether or not the others are done."""
    told(story, "Recovering", NOTHING)
    line = told(story, "Recovering", {**NOTHING, source: (3, True)})
    held(story)
    finding = latch_never_early(story.history())
    assert finding.outcome == "fail"
    assert f"{source} was current after 3 of 4" in finding.reason
    assert finding.evidence == (line,)


def test_converged_without_a_source(story: Story) -> None:
    """It was said for all, and one of them was not there yet."""
    line = told(story, "Converged", {"device-heartbeat": (0, False)})
    held(story)
    finding = latch_never_early(story.history())
    assert finding.outcome == "fail"
    assert "Converged while device-heartbeat was not current" in finding.reason
    assert finding.evidence == (line,)


def test_a_second_replay_that_is_cut_short(story: Story) -> None:
    """After a reconnect the count begins again; what the first replay saw does not make up for it."""
    told(story, "Converged")
    told(story, "Recovering", {"desired-state": (1, False)})
    told(story, "Converged", {"desired-state": (2, True)})
    held(story)
    assert "desired-state was current after 2 of 4" in latch_never_early(story.history()).reason


def test_a_doubt_is_no_replay(story: Story) -> None:
    """Lost and current again, without having begun anew: keys that came while it was current were not counted."""
    told(story, "Converged")
    told(story, "Recovering", {"desired-state": (THERE, False)})
    held(story, THERE + 3)
    story.mark("more keys")
    told(story, "Converged")
    held(story, THERE + 3)
    assert latch_never_early(story.history()).outcome == "pass"


def test_what_changed_meanwhile_is_in_favour_of_the_operator(story: Story) -> None:
    """Keys that were purged, or came after it was current, were not there at both readings; objects likewise."""
    story.resource("Device", "device-0", event="deleted", uid="uid-d0")
    story.resource("Deployment", "app-9", event="added", uid="uid-9")
    told(story, "Converged", {"devices": (THERE - 1, True), "device-state": (THERE - 1, True)})
    held(story, THERE - 1)
    assert latch_never_early(story.history()).outcome == "pass"


def test_a_bucket_that_was_made_again_was_empty() -> None:
    """Nothing was in it when it was made, whatever it holds now."""
    story = Story()
    story.asked((Bucket.DEVICE_HEARTBEAT, Bucket.DESIRED_STATE), messages=0)
    story.mark("restart")
    told(story, "Converged", NOTHING_CURRENT)
    held(story)
    assert latch_never_early(story.history()).outcome == "pass"


def test_each_life_is_judged(story: Story) -> None:
    """Another process begins with nothing."""
    told(story, "Converged", process="operator-1")
    told(story, "Converged", {"devices": (0, True)})
    held(story)
    assert "operator-2 said that devices was current after 0 of 4" in latch_never_early(story.history()).reason


def test_nobody_knows_what_there_was(story: Story) -> None:
    """Without a reading after it nothing is said."""
    told(story, "Converged")
    finding = latch_never_early(story.history())
    assert finding.outcome == "inconclusive"
    assert "desired-state" in finding.reason
    assert latch_never_early(Story().history()).outcome == "inconclusive"
