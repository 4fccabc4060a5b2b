"""Checks on replacements: each is seen to pass, to fail, and to say that it could not look."""

import pytest

from harness.checks.replacements import crash_loop_paused, ended, never_reverted, replaced, rolled_in_order
from harness.checks.tests.rolled import V1, V2, desired, rolled
from harness.checks.tests.story import Story


def test_rolled_in_order() -> None:
    """Created, ended, started, removed; each wrong order is told as what it is."""
    check = rolled_in_order("edge-1", "app", "main")
    assert check(Story().history()).outcome == "inconclusive"
    assert check(rolled().history()).outcome == "pass"


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("died a, create b, start b, remove a", "ended before the new one was created"),
        ("create b, start b, died a, remove a", "started before the old one ended"),
        ("create b, died a, remove a, start b", "removed before the new one was started"),
        ("create b, died a, start b", "never removed"),
    ],
)
def test_out_of_order(order: str, words: str) -> None:
    """Each step that comes too early."""
    story = Story()
    story.stored("edge-1.app", desired(V1))
    story.containers(("create", "start"), "a")
    story.stored("edge-1.app", desired(V2, generation=2))
    for event, id_ in (step.split() for step in order.split(", ")):
        story.container(event, id_, image=V2 if id_ == "b" else V1)
    finding = rolled_in_order("edge-1", "app", "main")(story.history())
    assert finding.outcome == "fail"
    assert words in finding.reason


def test_of_orders_at_once() -> None:
    """What was made for the first of them let the old one go; the last one's is made after that."""
    story = Story()
    story.stored("edge-1.app", desired(V1))
    story.containers(("create", "start"), "a")
    story.stored("edge-1.app", desired(V2, generation=2))
    story.stored("edge-1.app", desired("localhost/payload:v3", generation=3))
    story.containers(("create",), "b", version="v2")
    story.container("died", "a", exit_code=0)
    story.containers(("create", "start"), "c", version="v3")
    story.container("remove", "a")
    story.container("remove", "b")
    assert rolled_in_order("edge-1", "app", "main")(story.history()).outcome == "pass"


def test_one_that_had_ended_before_is_not_waited_for() -> None:
    """What crashed before its replacement was asked for."""
    story = Story()
    story.stored("edge-1.app", desired(V1))
    story.containers(("create", "start", "died"), "a")
    story.stored("edge-1.app", desired(V2, generation=2))
    story.containers(("create",), "b", version="v2")
    story.container("remove", "a")
    story.containers(("start",), "b", version="v2")
    assert rolled_in_order("edge-1", "app", "main")(story.history()).outcome == "pass"


def test_ended() -> None:
    """With the right code, at the right time; one that runs on has not."""
    story = Story()
    story.containers(("create", "start"), "a")
    assert ended("edge-1", "app/main", "order", exit_code=137)(story.history()).outcome == "inconclusive"
    story.mark("order")
    assert ended("edge-1", "app/main", "order", exit_code=137)(story.history()).outcome == "fail"
    story.passes(1)
    story.container("died", "a", exit_code=137)
    history = story.history()
    assert ended("edge-1", "app/main", "order", exit_code=137, after_s_min=1)(history).outcome == "pass"
    assert ended("edge-1", "app/main", "order", exit_code=0)(history).outcome == "fail"
    assert ended("edge-1", "app/main", "order", exit_code=137, after_s_min=2)(history).outcome == "fail"
    assert ended("edge-1", "app/main", "order", exit_code=137, after_s_max=0.5)(history).outcome == "fail"
    assert ended("edge-1", "app/side", "order", exit_code=137)(history).outcome == "inconclusive"


def test_replaced() -> None:
    """By another container that runs at the end; the same one, or none, is no replacement."""
    story = Story()
    assert replaced("edge-1", "app/main", "order")(story.history()).outcome == "inconclusive"
    story.containers(("create", "start"), "a")
    story.mark("order")
    assert replaced("edge-1", "app/main", "order")(story.history()).outcome == "fail"
    story.container("died", "a", exit_code=0)
    assert replaced("edge-1", "app/main", "order")(story.history()).outcome == "fail"
    story.containers(("create", "start"), "b")
    assert "never removed" in replaced("edge-1", "app/main", "order")(story.history()).reason
    story.container("remove", "a")
    assert replaced("edge-1", "app/main", "order")(story.history()).outcome == "pass"


def test_never_reverted() -> None:
    """Neither the old one nor one like it comes back, unless that was ordered."""
    assert never_reverted(Story().history()).outcome == "inconclusive"
    story = rolled()
    assert never_reverted(story.history()).outcome == "pass"
    story.stored("edge-1.app", desired(V1, generation=3))
    story.containers(("create", "start"), "c")
    assert never_reverted(story.history()).outcome == "pass"
    started = story.container("start", "b", image=V2)
    finding = never_reverted(story.history())
    assert finding.outcome == "fail"
    assert started in finding.evidence


def test_one_like_the_old_is_a_revert() -> None:
    """Made anew from the old version."""
    story = rolled()
    story.containers(("died",), "b", version="v2")
    story.containers(("create", "start"), "c", version="v1")
    assert never_reverted(story.history()).outcome == "fail"


def test_crash_loop_paused() -> None:
    """Started again, with pauses that grow."""
    story, check = Story(), crash_loop_paused("edge-1", "app/main", "order", 3)
    assert check(story.history()).outcome == "inconclusive"
    story.mark("order")
    story.containers(("create", "start", "died"))
    assert check(story.history()).outcome == "inconclusive"
    story.passes(0.5)
    story.containers(("start", "died"))
    assert check(story.history()).outcome == "fail"
    story.passes(1)
    story.containers(("start", "died"))
    assert check(story.history()).outcome == "pass"
    story.passes(1.5)
    story.containers(("start", "died"))
    finding = check(story.history())
    assert finding.outcome == "fail"
    assert "after its end number 3, at least 2 was due" in finding.reason
