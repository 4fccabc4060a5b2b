"""`cut-while-recovering`: only a cut of that life, before it converged and at that byte, counts."""

from typing import Literal

import pytest

from harness.checks.cutting import cut_while_recovering
from harness.checks.tests.story import Story
from harness.history import LinkEnd, Process, Recovery

LINK = "operator-nats"


def ended(story: Story, carried: int = 900, *, link: str = LINK, by: Literal["client", "server"] = "server") -> int:
    return story.add(LinkEnd(at_s=story.at_s, link=link, ordinal=1, carried_bytes=carried, by=by))


def spawned(story: Story, name: str = "operator-2") -> None:
    story.add(Process(at_s=story.at_s, name=name, event="spawned", pid=2))


def phase(story: Story, phase: str) -> None:
    story.add(Recovery(at_s=story.at_s, process="operator-2", phase=phase, sources={}))


@pytest.fixture
def story() -> Story:
    story = Story()
    spawned(story, "operator-1")
    story.mark("restart")
    spawned(story)
    phase(story, "Recovering")
    return story


def test_cut_on_the_way(story: Story) -> None:
    """Any cut, or one at that byte."""
    line = ended(story)
    phase(story, "Converged")
    for limit in (0, 900):
        finding = cut_while_recovering("restart", LINK, limit)(story.history())
        assert finding.outcome == "pass"
        assert finding.evidence == (line,)
    assert cut_while_recovering("restart", LINK, 901)(story.history()).outcome == "inconclusive"


def test_never_converged(story: Story) -> None:
    """It was recovering all the time."""
    ended(story)
    assert cut_while_recovering("restart", LINK)(story.history()).outcome == "pass"


def test_other_ends_do_not_count(story: Story) -> None:
    """Another link's, one that the client ended, one that came too late."""
    ended(story, link="devices-nats")
    ended(story, by="client")
    phase(story, "Converged")
    ended(story)
    assert cut_while_recovering("restart", LINK)(story.history()).outcome == "inconclusive"


def test_ends_of_the_life_before_do_not_count() -> None:
    """Its connections end with it."""
    story = Story()
    story.mark("restart")
    ended(story)
    assert cut_while_recovering("restart", LINK)(story.history()).outcome == "inconclusive"
    spawned(story)
    assert cut_while_recovering("restart", LINK)(story.history()).outcome == "inconclusive"
