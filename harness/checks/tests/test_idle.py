"""Heartbeats cost the Kubernetes API nothing."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from fleet.wire import Bucket
from harness.checks.idle import no_kubernetes_writes
from harness.checks.tests.story import MADE_AT, MADE_US, Story

CHECK = no_kubernetes_writes("beats", "beats-end", 10)


def beaten(during: Callable[[Story], object] = lambda _: None, *, beats: int = 10, there_before: bool = True) -> Story:
    """A request of an operator; then so many beats between the marks, and something else."""
    story = Story()
    story.patch(verb="list", subresource="")
    if there_before:
        story.asked([Bucket.DEVICE_HEARTBEAT], last_seq=MADE_US + 5)
    story.mark("beats")
    if not there_before:
        story.asked([Bucket.DEVICE_HEARTBEAT], last_seq=MADE_US + 5)
    during(story)
    story.asked([Bucket.DEVICE_HEARTBEAT], first_seq=MADE_US + 3, last_seq=MADE_US + 5 + beats)
    story.mark("beats-end")
    return story


@pytest.mark.parametrize("there_before", [True, False])
def test_idle(*, there_before: bool) -> None:
    """Reads are no writes; a bucket that is made on the way is counted from when it was first seen."""
    story = beaten(lambda s: s.patch(verb="get"), there_before=there_before)
    story.patch()
    found = CHECK(story.history())
    assert found.outcome == "pass"
    assert "10 heartbeats" in found.reason


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete"])
@pytest.mark.parametrize("code", [200, 409])
def test_a_write(verb: str, code: int) -> None:
    """Of whatever kind, refused or not."""
    lines: list[int] = []
    story = beaten(lambda s: lines.append(s.patch(verb=verb, resource="devices", subresource="", code=code)))
    found = CHECK(story.history())
    assert (found.outcome, list(found.evidence)) == ("fail", lines)
    assert f"{verb} devices/app" in found.reason


def made_again(story: Story) -> None:
    story.asked([Bucket.DEVICE_HEARTBEAT], made_at=MADE_AT + timedelta(seconds=1))


@pytest.mark.parametrize(
    "story",
    [Story(), beaten(beats=9), beaten(made_again, beats=9)],
    ids=["no window", "too few", "too few of the new bucket"],
)
def test_nothing_was_shown(story: Story) -> None:
    """Without beats nobody can tell what they cost."""
    assert CHECK(story.history()).outcome == "inconclusive"


def test_a_deaf_witness() -> None:
    """An audit log without a request of an operator shows no writes of one either."""
    story = Story()
    story.asked_and_marked("beats")
    story.asked_and_marked("beats-end")
    assert CHECK(story.history()).outcome == "inconclusive"


def test_a_bucket_that_is_gone() -> None:
    """It was never there, or is not at the end."""
    story = Story()
    story.patch(verb="list")
    story.mark("beats")
    story.mark("beats-end")
    assert "was not there" in CHECK(story.history()).reason
