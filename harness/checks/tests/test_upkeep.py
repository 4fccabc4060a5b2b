"""Checks on an agent's upkeep: each is seen to pass, to fail, and to say that it could not look."""

from fleet.wire import Phase
from harness.checks.judge import Check
from harness.checks.tests.story import Story
from harness.checks.upkeep import (
    kept,
    looked,
    made_again,
    nothing_concluded,
    podman_not_hammered,
    running_at,
    said_meanwhile,
    stranger_untouched,
)
from harness.history import Gate
from harness.history.records import GateEvent

LIST = "/v4.0.0/libpod/containers/json?all=true"
V1 = "localhost/payload:v1"


def asked(story: Story, event: GateEvent = "passed", path: str = LIST, method: str = "GET") -> int:
    return story.add(Gate(at_s=story.at_s, rule="podman", ordinal=1, event=event, method=method, path=path))


def running() -> Story:
    story = Story()
    story.containers(("create", "start"))
    story.reports(ids={"main": "a"})
    story.mark("start")
    return story


def outcome(check: Check, story: Story) -> str:
    return check(story.history()).outcome


def test_looked() -> None:
    """Only lists that reached podman between the marks are counted; too few show nothing."""
    story, check = running(), looked("start", "end", 2)
    assert outcome(check, story) == "inconclusive"
    asked(story)
    asked(story, "faulted")
    asked(story, path="/v4.0.0/libpod/events")
    story.mark("end")
    assert outcome(check, story) == "inconclusive"
    asked(story)
    asked(story)
    assert outcome(check, story) == "inconclusive"
    story.mark("end")
    assert check(story.history()).reason.startswith("podman was asked for its containers 3 times")
    assert outcome(check, story) == "pass"


def test_kept_and_made_again() -> None:
    """The same container started again is kept; another one of its image was made again."""
    of_same, of_new = kept("edge-1", "start", "end"), made_again("edge-1", "start", "end")
    assert outcome(of_same, Story()) == outcome(of_new, Story()) == "inconclusive"
    idle = Story()
    idle.mark("start")
    idle.mark("end")
    assert outcome(of_same, idle) == outcome(of_new, idle) == "inconclusive"
    story = running()
    story.containers(("died", "start"))
    story.mark("end")
    assert (outcome(of_same, story), outcome(of_new, story)) == ("pass", "fail")
    story.containers(("died", "remove"))
    story.mark("end")
    assert "nothing runs at end" in of_same(story.history()).reason
    assert (outcome(of_same, story), outcome(of_new, story)) == ("fail", "fail")
    story.containers(("create", "start"), "b")
    story.mark("end")
    assert "b of localhost/payload:v1 runs at end" in of_same(story.history()).reason
    assert (outcome(of_same, story), outcome(of_new, story)) == ("fail", "pass")


def test_running_at() -> None:
    """At the mark itself, whatever comes later."""
    story, check = running(), running_at("edge-1", "app/main", "end", V1)
    assert outcome(check, story) == "inconclusive"
    story.mark("end")
    assert outcome(check, story) == "pass"
    assert outcome(running_at("edge-1", "app/main", "end", "localhost/payload:v2"), story) == "fail"
    story.containers(("died",))
    assert outcome(check, story) == "pass"
    story.mark("end")
    assert "nothing runs" in check(story.history()).reason
    assert outcome(check, story) == "fail"


def test_stranger_untouched() -> None:
    """Any event between the marks is too much; whoever was not there cannot have been left alone."""
    story, check = running(), stranger_untouched("x", "start", "end")
    assert outcome(check, story) == "inconclusive"
    story.mark("end")
    assert outcome(check, story) == "inconclusive"
    story = Story()
    story.container("start", "x", of_an_agent=False)
    story.mark("start")
    story.containers(("create", "start", "died"))
    story.mark("end")
    assert outcome(check, story) == "pass"
    story.container("died", "x", of_an_agent=False)
    story.mark("end")
    assert outcome(check, story) == "fail"


def test_said_meanwhile() -> None:
    """Only between the marks, and only as a reason."""
    story, check = running(), said_meanwhile("edge-1", "app", "RuntimeAway", "start", "end")
    assert outcome(check, story) == "inconclusive"
    story.reports(ids={"main": "a"}, error="main: Exited: it told of RuntimeAway")
    story.mark("end")
    assert outcome(check, story) == "fail"
    story.reports(ids={"main": "a"}, error="RuntimeAway: no answer")
    assert outcome(check, story) == "fail"
    story.mark("end")
    assert outcome(check, story) == "pass"


def test_nothing_concluded() -> None:
    """Phase and ids stay, and no error comes but RuntimeAway."""
    check = nothing_concluded("edge-1", "app", "start", "end")
    silent = Story()
    silent.mark("start")
    silent.mark("end")
    assert outcome(check, silent) == "inconclusive"
    assert outcome(check, running()) == "inconclusive"
    story = running()
    story.reports(ids={"main": "a"}, error="RuntimeAway: no answer")
    story.reports(ids={"main": "a"})
    story.mark("end")
    assert outcome(check, story) == "pass"
    for phase, ids, error in (
        (Phase.PENDING, {"main": "a"}, "RuntimeAway: no answer"),
        (Phase.RUNNING, {}, "RuntimeAway: no answer"),
        (Phase.RUNNING, {"main": "a"}, "main: Exited: gone"),
        (None, {}, None),
    ):
        story = running()
        story.reports(phase, ids=ids, error=error)
        story.mark("end")
        assert outcome(check, story) == "fail"


def test_podman_not_hammered() -> None:
    """What got no answer is counted by the second; a proof's ping is no request."""
    story, check = running(), podman_not_hammered("start", "end", 2)
    assert outcome(check, story) == "inconclusive"
    asked(story)
    asked(story, "faulted", "/_ping")
    story.mark("end")
    assert outcome(check, story) == "inconclusive"
    for _ in range(2):
        asked(story, "faulted")
    story.passes(1.0)
    asked(story, "faulted")
    story.mark("end")
    assert outcome(check, story) == "pass"
    asked(story, "faulted")
    asked(story, "faulted")
    story.mark("end")
    assert check(story.history()).reason.startswith("3 requests in the worst second (at most 2), 5 in all")
    assert outcome(check, story) == "fail"
