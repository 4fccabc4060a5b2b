"""Checks on reports of agents and on their lives: each is seen to pass, to fail, and to say that it could not look."""

import pytest

from fleet.wire import Phase
from harness.checks.reporting import (
    agent_worked,
    ids_reported,
    never_reported,
    no_agent_exit,
    reported,
    reports_up_to_date,
)
from harness.checks.tests.story import Story, desired


def running() -> Story:
    story = Story()
    story.process("spawned", "edge-1")
    story.process("spawned", "edge-1-agent-1", pid=7)
    story.stored("edge-1.app", desired())
    story.containers(("create", "start"))
    story.reports(ids={"main": "a"})
    return story


def test_agent_worked() -> None:
    """Each agent that was started made something run, and said so."""
    assert agent_worked(Story().history()).outcome == "inconclusive"
    story = running()
    assert agent_worked(story.history()).outcome == "pass"
    story.process("spawned", "edge-2-agent-1", pid=8)
    assert "edge-2 started no container" in agent_worked(story.history()).reason
    story.container("start", "b", device="edge-2")
    finding = agent_worked(story.history())
    assert finding.outcome == "inconclusive"
    assert "edge-2 reported nothing as Running" in finding.reason


def test_no_agent_exit() -> None:
    """Killed by the case, or with the power, it may end; by itself it may not."""
    assert no_agent_exit(Story().history()).outcome == "inconclusive"
    story = running()
    assert no_agent_exit(story.history()).outcome == "pass"
    story.process("signalled", "edge-1-agent-1", pid=7, signal="SIGKILL")
    story.process("exited", "edge-1-agent-1", pid=7)
    story.process("spawned", "edge-1-agent-2", pid=9)
    story.process("signalled", "edge-1", signal="SIGKILL")
    story.process("exited", "edge-1-agent-2", pid=9)
    story.process("exited", "edge-1")
    story.process("spawned", "edge-1")
    story.process("spawned", "edge-1-agent-3", pid=7)
    assert no_agent_exit(story.history()).outcome == "pass"
    story.process("exited", "edge-1-agent-3", pid=7)
    finding = no_agent_exit(story.history())
    assert finding.outcome == "fail"
    assert "edge-1-agent-3" in finding.reason


@pytest.mark.parametrize(
    ("phase", "error", "wanted", "reason", "right"),
    [
        (Phase.RUNNING, None, Phase.RUNNING, "", True),
        (Phase.RUNNING, "RuntimeAway: gone", Phase.RUNNING, "", False),
        (Phase.RUNNING, "RuntimeAway: gone", Phase.RUNNING, "RuntimeAway", True),
        (Phase.FAILED, "main: Exited: it ended", Phase.FAILED, "Exited", True),
        (Phase.FAILED, "main: StartFailed: Exited", Phase.FAILED, "Exited", False),
        (Phase.FAILED, "main: Exited: it ended", Phase.FAILED, "", True),
        (Phase.PENDING, None, Phase.RUNNING, "", False),
        (None, None, Phase.RUNNING, "", False),
    ],
)
def test_reported(phase: Phase | None, error: str | None, wanted: Phase, reason: str, right: bool) -> None:
    """The phase, the reason at its place, and no error where none is named."""
    story = running()
    story.reports(phase, error=error)
    finding = reported("edge-1", "app", wanted, reason)(story.history())
    assert finding.outcome == ("pass" if right else "fail")


def test_reported_at_a_mark() -> None:
    """What was said later plays no part."""
    story, check = running(), reported("edge-1", "app", Phase.RUNNING, at="then")
    assert check(story.history()).outcome == "inconclusive"
    story.mark("then")
    story.reports(Phase.FAILED, error="main: Exited: it ended")
    assert check(story.history()).outcome == "pass"
    assert reported("edge-1", "app", Phase.FAILED, at="then")(story.history()).outcome == "fail"


def test_never_reported() -> None:
    """From the mark on, of this deployment."""
    story, check = running(), never_reported("edge-1", "app", Phase.FAILED, "then")
    assert check(story.history()).outcome == "inconclusive"
    story.reports(Phase.FAILED, error="main: Exited: it ended")
    story.mark("then")
    assert check(story.history()).outcome == "inconclusive"
    story.reports(Phase.FAILED, deployment="other")
    story.reports()
    assert check(story.history()).outcome == "pass"
    story.reports(Phase.FAILED, error="main: Exited: again")
    assert "main: Exited: again" in check(story.history()).reason
    assert check(story.history()).outcome == "fail"


def test_ids_reported() -> None:
    """Those that run, of what runs; those that are there, of what does not; none of what was withdrawn."""
    check = ids_reported("edge-1")
    assert check(Story().history()).outcome == "inconclusive"
    story = running()
    assert check(story.history()).outcome == "pass"
    story.reports(ids={"main": "b"})
    assert "reported is main=b, and main=a runs" in check(story.history()).reason
    story.containers(("died",))
    story.reports(Phase.FAILED, ids={"main": "a"}, error="main: Exited: it ended")
    assert check(story.history()).outcome == "pass"
    story.reports(Phase.RUNNING, ids={"main": "a"})
    assert check(story.history()).outcome == "fail"
    story.reports(Phase.FAILED, ids={"main": "b"}, error="main: Exited: it ended")
    assert "reported is main=b, which is not there" in check(story.history()).reason
    story.reports(None)
    assert "nothing is reported, and a is there" in check(story.history()).reason
    story.container("remove")
    assert check(story.history()).outcome == "pass"


def test_reports_up_to_date() -> None:
    """Of the owner that is stored; none where the key was deleted."""
    check = reports_up_to_date("edge-1")
    assert check(Story().history()).outcome == "inconclusive"
    story = running()
    assert check(story.history()).outcome == "pass"
    story.stored("edge-1.app", desired(generation=2))
    assert "reported for uid-app generation 1, not uid-app 2" in check(story.history()).reason
    story.reports(generation=2)
    assert check(story.history()).outcome == "pass"
    story.stored("edge-1.app", operation="delete")
    assert "a report is left" in check(story.history()).reason
    story.reports(None)
    assert check(story.history()).outcome == "pass"
