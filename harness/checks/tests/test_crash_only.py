"""The check on the end of an operator that panicked."""

import pytest

from harness.checks.crash_only import crash_only
from harness.checks.tests.story import Story
from harness.history import Process, Readiness

CHECK = crash_only(5)


class Panicked(Story):
    """An operator that was ready, and then panicked."""

    def __init__(self) -> None:
        super().__init__()
        self.process("spawned")
        self.readyz(200)
        self.panic = self.fault("applied", "status-panic", "operator-1")

    def readyz(self, status: int) -> int:
        return self.add(Readiness(at_s=self.at_s, process="operator-1", status=status))

    def exits(self, code: int, name: str = "operator-1") -> int:
        return self.add(Process(at_s=self.at_s, name=name, event="exited", pid=1, exit_code=code))


def test_unready_then_gone() -> None:
    """The panic and the exit are the evidence."""
    story = Panicked()
    story.readyz(503)
    story.readyz(0)
    line = story.exits(70)
    found = CHECK(story.history())
    assert (found.outcome, found.evidence) == ("pass", (story.panic, line))


def test_lives_on() -> None:
    """A process whose loop is dead and that goes on answering."""
    story = Panicked()
    found = CHECK(story.history())
    assert (found.outcome, "lived on" in found.reason) == ("fail", True)


def test_killed_by_the_harness() -> None:
    """One that had to be killed did not end by itself."""
    story = Panicked()
    story.readyz(503)
    story.process("signalled", signal="SIGKILL")
    story.exits(-9)
    assert "lived on" in CHECK(story.history()).reason


@pytest.mark.parametrize("status", [200, 0])
def test_never_unready(status: int) -> None:
    """Ready to the last, or just gone."""
    story = Panicked()
    story.readyz(status)
    story.exits(70)
    found = CHECK(story.history())
    assert (found.outcome, "/readyz" in found.reason) == ("fail", True)


def test_unready_before_the_panic_does_not_count() -> None:
    """What it said while it recovered is another story."""
    story = Story()
    story.process("spawned")
    story.add(Readiness(at_s=story.at_s, process="operator-1", status=503))
    story.fault("applied", "status-panic", "operator-1")
    story.add(Process(at_s=story.at_s, name="operator-1", event="exited", pid=1, exit_code=70))
    assert CHECK(story.history()).outcome == "fail"


@pytest.mark.parametrize(("code", "after_s", "reason"), [(0, 0.1, "with 0"), (70, 5.5, "limit 5 s")])
def test_a_bad_end(code: int, after_s: float, reason: str) -> None:
    """An exit that looks like success, and one that comes late."""
    story = Panicked()
    story.readyz(503)
    story.passes(after_s)
    story.exits(code)
    found = CHECK(story.history())
    assert (found.outcome, reason in found.reason) == ("fail", True)


def test_armed_long_before() -> None:
    """The time counts from when it was raised."""
    story = Panicked()
    story.passes(60)
    story.fault("proved-active", "status-panic", "operator-1")
    story.readyz(503)
    story.exits(70)
    assert CHECK(story.history()).outcome == "pass"


def test_another_one_exits_too() -> None:
    """An exit without a panic is a crash of its own."""
    story = Panicked()
    story.readyz(503)
    story.exits(70)
    story.process("spawned", "operator-2", pid=2)
    line = story.exits(3, "operator-2")
    found = CHECK(story.history())
    assert (found.outcome, found.evidence) == ("fail", (line,))


def test_no_panic() -> None:
    """Nothing was raised, so nothing is known."""
    story = Story()
    story.process("spawned")
    assert CHECK(story.history()).outcome == "inconclusive"
