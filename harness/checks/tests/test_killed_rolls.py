"""Checks on rolls whose agent was killed, each seen to pass, to fail, and to say that it could not look."""

import pytest

from fleet.wire import Phase
from harness.checks.judge import Check
from harness.checks.killed_rolls import (
    AIM,
    CLEAN,
    CLEAN_SETTLED,
    SETTLED,
    ends_as_clean,
    kills_reached,
    outcomes,
    started_once,
)
from harness.checks.tests.rolled import V1, V2, desired
from harness.checks.tests.story import Story
from harness.history import Fault, Mark, Process

STEP = "before fsync deployments/.web.desired.tmp #1"


def mark(story: Story, name: str, detail: str = "") -> None:
    story.add(Mark(at_s=story.at_s, name=name, detail=detail))


def kill(story: Story, detail: str = f"killed {STEP}", exit_code: int = -9) -> None:
    story.fault("applied", "kill-before-step")
    story.add(Process(at_s=story.at_s, name="edge-1-agent-1", event="exited", pid=1, exit_code=exit_code))
    story.add(Fault(at_s=story.at_s, name="kill-before-step", target="agent", event="proved-active", detail=detail))


def roll(story: Story, new: str, old: str | None, generation: int) -> None:
    image = V2 if generation % 2 == 0 else V1
    story.stored("edge-1.app", desired(image, generation=generation))
    version = image.rpartition(":")[2]
    story.containers(("create",), new, version=version)
    if old is not None:
        story.container("died", old, exit_code=0)
    story.containers(("start",), new, version=version)
    if old is not None:
        story.container("remove", old)
    story.reports(Phase.RUNNING, ids={"main": new}, generation=generation)


def clean() -> Story:
    """A clean roll to v1."""
    story = Story()
    mark(story, CLEAN)
    roll(story, "a", None, 1)
    mark(story, CLEAN_SETTLED)
    return story


def killed() -> Story:
    """And one to v2 in which the agent was killed, as it should be."""
    story = clean()
    mark(story, AIM, STEP)
    kill(story)
    roll(story, "b", "a", 2)
    mark(story, SETTLED)
    return story


@pytest.mark.parametrize("check", [kills_reached, ends_as_clean, started_once], ids=lambda c: c.function)
def test_nothing_rolled_shows_nothing(check: Check) -> None:
    """No roll: inconclusive."""
    assert check(Story().history()).outcome == "inconclusive"


@pytest.mark.parametrize("check", [kills_reached, ends_as_clean, started_once], ids=lambda c: c.function)
def test_a_roll_that_ends_as_the_clean_one_passes(check: Check) -> None:
    """Ids, images and generations may differ."""
    finding = check(killed().history())
    assert finding.outcome == "pass", finding.reason
    assert outcomes(killed().history()) == {STEP: ("pass", "")}


@pytest.mark.parametrize(
    ("detail", "exit_code"),
    [("killed before fsync other #1", -9), (f"killed {STEP}", 1)],
    ids=["another step", "no SIGKILL"],
)
def test_another_death_is_not_the_one_aimed_at(detail: str, exit_code: int) -> None:
    """The step is reached if the proof names it and the process ended by SIGKILL; one of several tries is enough."""
    story = clean()
    mark(story, AIM, STEP)
    kill(story, detail, exit_code)
    roll(story, "b", "a", 2)
    mark(story, SETTLED)
    assert kills_reached(story.history()).outcome == "inconclusive"
    assert outcomes(story.history())[STEP][0] == "inconclusive"
    mark(story, AIM, STEP)
    kill(story)
    roll(story, "c", "b", 3)
    mark(story, SETTLED)
    assert kills_reached(story.history()).outcome == "pass"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda story: story.reports(Phase.PENDING, ids={"main": "b"}, generation=2), "Pending"),
        (lambda story: story.reports(Phase.RUNNING, ids={"main": "a"}, generation=2), "others"),
        (lambda story: story.reports(Phase.RUNNING, ids={"main": "b"}, generation=1), "another"),
        (lambda story: story.container("create", "left", image=V1), '"besides":1'),
        (lambda story: story.container("died", "b"), "runs []"),
        (lambda story: story.container("start", "c", image=V2), "payload:v2', 'localhost"),
    ],
    ids=["phase", "ids", "owner", "left over", "runs no more", "two run"],
)
def test_another_end_is_told(change: object, words: str) -> None:
    """Whatever differs from the clean roll."""
    story = clean()
    mark(story, AIM, STEP)
    kill(story)
    roll(story, "b", "a", 2)
    assert callable(change)
    change(story)
    mark(story, SETTLED)
    finding = ends_as_clean(story.history())
    assert (finding.outcome, words in finding.reason) == ("fail", True), finding.reason
    assert outcomes(story.history())[STEP][0] == "fail"


def test_a_new_container_is_started_once() -> None:
    """Started, ended and started again is a healthy container touched."""
    story = clean()
    mark(story, AIM, STEP)
    kill(story)
    roll(story, "b", "a", 2)
    story.containers(("died",), "b", version="v2")
    story.containers(("start",), "b", version="v2")
    mark(story, SETTLED)
    assert started_once(story.history()).outcome == "fail"


def test_nothing_happens_between_rolls() -> None:
    """Who comes after a kill and restarts what runs does so also after the roll has ended."""
    story = killed()
    story.containers(("died",), "b", version="v2")
    mark(story, AIM, STEP)
    mark(story, SETTLED)
    finding = started_once(story.history())
    assert (finding.outcome, "between" in finding.reason) == ("fail", True)
