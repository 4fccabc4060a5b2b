"""Which devices the reference model holds for silent, and what that does to the counts."""

import pytest

from fleet.wire import Bucket, Phase
from harness.checks.reference import Aggregate, World, status_aggregate
from harness.checks.silence import STALE_AFTER, silent_at_end, stale_after_s
from harness.checks.tests.story import Story, desired, report, settled
from harness.history import Resource

ONE, TWO = "site.rack.device-0", "site.rack.device-1"


def silenced(*devices: str, for_s: float = 91.0, action: str = "silence") -> Story:
    """Two settled devices, some of which fell silent that long ago."""
    story = settled(2)
    for device in devices:
        story.acted(device, action)
    story.passes(for_s)
    story.asked()
    return story


def aggregate(story: Story) -> Aggregate:
    return World.at_end(story.history()).aggregate("app")


@pytest.mark.parametrize("action", ["silence", "forget"])
@pytest.mark.parametrize(("for_s", "silent"), [(89.0, set()), (91.0, {ONE})])
def test_silent_after_the_limit(action: str, for_s: float, silent: set[str]) -> None:
    """90 s, unless the operator was told otherwise."""
    assert silent_at_end(silenced(ONE, for_s=for_s, action=action).history()) == silent


def test_the_operator_has_its_own_limit() -> None:
    """The one that was started last counts."""
    story = silenced(ONE, for_s=3)
    story.process("spawned", settings={STALE_AFTER: "500"})
    story.process("spawned", "operator-2", settings={STALE_AFTER: "2.5"})
    story.process("spawned", "nats")
    assert stale_after_s(story.history()) == 2.5
    assert silent_at_end(story.history()) == {ONE}


@pytest.mark.parametrize("action", ["resume", "rejoin"])
def test_back(action: str) -> None:
    """Its first beat ends it, and a later silence begins anew."""
    story = silenced(ONE)
    story.acted(ONE, action)
    assert silent_at_end(story.history()) == set()
    story.acted(ONE, "silence")
    story.passes(89)
    story.asked()
    assert silent_at_end(story.history()) == set()


def test_silent_since_the_first_call() -> None:
    """To silence it again does not begin the count again; it counts from before the call."""
    story = silenced(ONE, for_s=50)
    story.acted(ONE, "silence")
    story.passes(41)
    story.asked()
    assert silent_at_end(story.history()) == {ONE}


def test_all_of_them_only_on_an_unbroken_connection() -> None:
    """While nobody beats, nobody knows whether the broker was accepting; an operator that stays connected does."""
    story = silenced(ONE, TWO)
    assert silent_at_end(story.history()) == set()
    story.process("spawned")
    story.recovery("Converged")
    story.passes(89)
    story.asked()
    assert silent_at_end(story.history()) == set()
    story.passes(2)
    story.asked()
    assert silent_at_end(story.history()) == {ONE, TWO}
    story.recovery("Recovering")
    story.recovery("Converged")
    assert silent_at_end(story.history()) == set()


@pytest.mark.parametrize("phase", Phase)
def test_stale_whatever_it_reported(phase: Phase) -> None:
    """It counts as stale and as nothing else; the other counts are the others'."""
    story = settled(2)
    story.said(f"{ONE}.app", report(phase, after_s=1))
    story.acted(ONE, "silence")
    story.passes(91)
    story.asked()
    assert aggregate(story) == Aggregate(matched=2, succeeded=1, stale=1)
    shown = World.at_end(story.history()).status("app")
    assert (shown.ready, shown.last_error_device) == (False, None)


def test_never_reported_is_pending() -> None:
    """Without a report it is silent about nothing."""
    story = Story()
    story.device(ONE)
    story.device(TWO)
    story.deployment()
    story.stored(f"{ONE}.app", desired())
    story.said(f"{TWO}.app", report())
    story.acted(ONE, "silence")
    story.passes(91)
    story.asked()
    assert silent_at_end(story.history()) == {ONE}
    assert aggregate(story) == Aggregate(matched=2, pending=2)


def test_shown_counts() -> None:
    """A status of an operator that knows no such count shows none."""
    story = Story()
    story.deployment(counts={"matched": 3, "succeeded": 1, "pending": 0, "failed": 0, "stale": 2})
    story.deployment("old", counts={"matched": 1, "succeeded": 1, "pending": 0, "failed": 0})
    first, second = (r for r in story.records if isinstance(r, Resource))
    assert status_aggregate(first) == Aggregate(3, 1, 0, 0, 2)
    assert status_aggregate(second) == Aggregate(1, 1, 0, 0, 0)


def test_an_empty_history() -> None:
    """Nobody was there to fall silent."""
    assert silent_at_end(Story().history()) == set()
    story = Story()
    story.asked([Bucket.DEVICE_HEARTBEAT])
    assert silent_at_end(story.history()) == set()
