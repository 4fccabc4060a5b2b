"""Checks on what ran, told by podman's events: each is seen to pass, to fail, and to say that it could not look."""

import pytest

from harness.checks.container_lives import lives
from harness.checks.containers import never_two_running, ran_on, runs_as_desired, untouched
from harness.checks.judge import Ask
from harness.checks.tests.rolled import V1, V2, desired, rolled
from harness.checks.tests.story import Story


def test_a_life_is_told_by_its_events() -> None:
    """Runs with their ends, in the order in which it happened, whatever the order of the lines."""
    story = Story()
    story.container("start", "a", happened_s=2.0)
    story.container("create", "a", happened_s=1.0)
    story.container("died", "a", happened_s=3.0, exit_code=7)
    story.container("start", "a", happened_s=4.0)
    story.container("exec", "a", happened_s=5.0)
    story.container("start", "other", of_an_agent=False)
    (life,) = lives(story.history())
    assert [(run.began.at_s, run.ended and run.ended.at_s, run.exit_code) for run in life.runs] == [
        (2.0, 3.0, 7),
        (4.0, None, None),
    ]
    assert life.running
    assert life.removed is None
    assert (life.digest, str(life.slot)) == ("v1", "app/main on edge-1")


def test_a_power_cut_ends_what_runs() -> None:
    """Podman tells nothing of it; the next start is another run."""
    story = Story()
    story.containers(("create", "start"))
    story.process("exited", "edge-1")
    assert not lives(story.history())[0].running
    story.container("start")
    (life,) = lives(story.history())
    assert len(life.runs) == 2
    assert life.running


def test_never_two_running() -> None:
    """One after the other is right, also of the same container; an overlap of an instant is not."""
    assert never_two_running(Story().history()).outcome == "inconclusive"
    assert never_two_running(rolled().history()).outcome == "pass"
    story = Story()
    story.containers(("create", "start"), "a")
    started = story.containers(("create", "start"), "b", version="v2")
    story.container("died", "a", exit_code=0)
    finding = never_two_running(story.history())
    assert finding.outcome == "fail"
    assert "b of localhost/payload:v2 was started while a" in finding.reason
    assert started in finding.evidence


def test_two_slots_may_run_at_once() -> None:
    """Another service, and the same one of another device."""
    story = Story()
    story.containers(("create", "start"), "a")
    story.containers(("create", "start"), "b", slot="app/side")
    story.container("start", "c", device="edge-2")
    assert never_two_running(story.history()).outcome == "pass"


def test_untouched() -> None:
    """An exec is no deed; a start, or an end that the power brings, is."""
    story = Story()
    story.containers(("create", "start"), "a")
    story.containers(("create", "start"), "b", slot="app/side")
    story.mark("begin")
    story.containers(("exec", "exec_died", "health_status"), "a")
    story.mark("quiet")
    story.containers(("died", "start"), "b", slot="app/side")
    story.mark("end")
    history = story.history()
    assert untouched("begin", "quiet")(history).outcome == "pass"
    assert untouched("begin", "end", ("app/main",))(history).outcome == "pass"
    finding = untouched("begin", "end")(history)
    assert finding.outcome == "fail"
    assert "died of fleet.b, start of fleet.b" in finding.reason
    story.containers(("create", "remove"), "c")
    story.mark("made")
    assert untouched("end", "made", ("app/main",))(story.history()).outcome == "fail"
    assert ran_on("end", "made", ("app/main",))(story.history()).outcome == "pass"
    assert ran_on("begin", "made")(story.history()).outcome == "fail"
    story.process("exited", "edge-1")
    story.mark("dark")
    assert ran_on("end", "dark", ("app/main",))(story.history()).outcome == "fail"
    assert untouched("end", "dark", ("app/main",))(story.history()).outcome == "fail"


@pytest.mark.parametrize("check", [untouched("begin", "end"), untouched("begin", "end", ("app/other",))])
def test_untouched_needs_something_that_runs(check: Ask) -> None:
    """Marks are missing, nothing runs, or not what is named."""
    story = Story()
    assert check(story.history()).outcome == "inconclusive"
    if "other" in str(check):
        story.containers(("create", "start"))
    story.mark("begin")
    story.mark("end")
    assert check(story.history()).outcome == "inconclusive"


def test_runs_as_desired() -> None:
    """Exactly what is stored: neither an old image, nor two, nor one that nobody wants."""
    check = runs_as_desired("edge-1")
    assert check(Story().history()).outcome == "inconclusive"
    story = rolled()
    assert check(story.history()).outcome == "pass"
    story.containers(("create", "start"), "c", slot="app/side")
    assert "app/side on edge-1: localhost/payload:v1 runs at the end" in check(story.history()).reason
    story.stored("edge-1.app", desired(V2, V2, generation=3))
    assert "localhost/payload:v2 is wanted" in check(story.history()).reason
    story.stored("edge-1.app", desired(V2, V1, generation=4))
    assert check(story.history()).outcome == "pass"
    story.containers(("create", "start"), "d", slot="app/side")
    assert "2 containers run" in check(story.history()).reason
    story.containers(("died",), "c", slot="app/side")
    story.containers(("died",), "d", slot="app/side")
    assert "0 containers run" in check(story.history()).reason


def test_a_deleted_deployment_is_to_run_nothing() -> None:
    """A marker deletes; a value that cannot be understood leaves what was wanted before."""
    check, story = runs_as_desired("edge-1"), rolled()
    story.stored("edge-1.app", "{}")
    assert check(story.history()).outcome == "pass"
    story.stored("edge-1.app", operation="delete")
    assert check(story.history()).outcome == "fail"
    story.container("died", "b", image=V2, exit_code=0)
    assert check(story.history()).outcome == "pass"
