"""The checks on the operator's life, on faults and on the load: passes, failures, and what nobody can tell."""

import pytest

from harness.checks.judge import Check
from harness.checks.life import converged_in_time, faults_bit, load_sustained, no_unexpected_exit, operator_worked
from harness.checks.tests.story import Story

EVERY: dict[str, Check] = {
    "operator_worked": operator_worked,
    "faults_bit": faults_bit,
    "converged_in_time": converged_in_time("restart", 5),
    "no_unexpected_exit": no_unexpected_exit,
    "load_sustained": load_sustained("sigkill", 10, start="load", end="load-end"),
}


@pytest.mark.parametrize("check", EVERY.values(), ids=EVERY)
def test_an_empty_history_passes_nothing(check: Check) -> None:
    """Nobody looked, so nobody knows."""
    assert check(Story().history()).outcome == "inconclusive"


class TestOperatorWorked:
    def test_before_the_fault(self) -> None:
        """The line where it first said Converged is the evidence."""
        story = Story()
        story.recovery("Recovering")
        line = story.recovery("Converged")
        story.fault("applied")
        found = operator_worked(story.history())
        assert (found.outcome, found.evidence) == ("pass", (line,))

    def test_only_after_the_fault(self) -> None:
        """A recovery from nothing shows nothing."""
        story = Story()
        story.recovery("Recovering")
        story.fault("applied")
        story.recovery("Converged")
        assert operator_worked(story.history()).outcome == "inconclusive"


class TestFaultsBit:
    def judged(self, *events: str) -> str:
        story = Story()
        for event in events:
            name, _, what = event.partition(":")
            story.fault(what, name)  # type: ignore[arg-type] # the words below are fault events
        return faults_bit(story.history()).outcome

    def test_proved(self) -> None:
        """Applied and proved, healed and proved, each in its turn."""
        assert self.judged("a:applied", "a:proved-active", "a:healed", "a:proved-healed") == "pass"

    def test_not_healed_yet(self) -> None:
        """A fault that stays is one."""
        assert self.judged("a:applied", "a:proved-active") == "pass"

    @pytest.mark.parametrize(
        "events",
        [
            ["a:applied"],
            ["a:applied", "a:unproved"],
            ["a:applied", "b:proved-active"],
            ["a:proved-active", "a:applied"],
            ["a:applied", "a:healed", "a:proved-healed"],
            ["a:applied", "a:proved-active", "a:healed"],
            ["a:applied", "a:proved-active", "a:healed", "a:unproved"],
            ["a:applied", "a:proved-active", "a:healed", "a:proved-healed", "a:applied"],
            ["a:applied", "a:proved-active", "b:applied"],
        ],
        ids=" ".join,
    )
    def test_unproved(self, events: list[str]) -> None:
        """Every application and every heal needs a proof of its own."""
        assert self.judged(*events) == "inconclusive"

    def test_two_at_once(self) -> None:
        """Faults overlap, also on the same target."""
        assert self.judged("a:applied", "b:applied", "b:proved-active", "a:proved-active") == "pass"


class TestConvergedInTime:
    check = staticmethod(converged_in_time("restart", 5))

    def restarted(self, name: str = "operator-2") -> Story:
        story = Story()
        story.process("spawned")
        story.recovery("Converged")
        story.mark("restart")
        story.process("spawned", name, pid=2)
        return story

    @pytest.mark.parametrize(("after_s", "outcome"), [(0.0, "pass"), (4.9, "pass"), (5.1, "fail")])
    def test_limit(self, after_s: float, outcome: str) -> None:
        """Counted from the mark; both places are the evidence."""
        story = self.restarted()
        story.passes(after_s)
        line = story.recovery("Converged", "operator-2")
        found = self.check(story.history())
        assert (found.outcome, found.evidence) == (outcome, (3, line))

    def test_never(self) -> None:
        """An operator that only ever recovers fails."""
        story = self.restarted()
        story.recovery("Recovering", "operator-2")
        assert self.check(story.history()).outcome == "fail"

    def test_the_old_operator_does_not_count(self) -> None:
        """What the one of before says after the mark is not the recovery of its successor."""
        story = self.restarted()
        story.recovery("Converged", "operator-1")
        assert self.check(story.history()).outcome == "fail"

    def test_the_first_of_two_restarts_does_not_count(self) -> None:
        """Killed once more, it is the last one that has to converge."""
        story = self.restarted()
        story.recovery("Converged", "operator-2")
        story.process("signalled", "operator-2", pid=2, signal="SIGKILL")
        story.process("spawned", "operator-3", pid=3)
        assert self.check(story.history()).outcome == "fail"
        story.recovery("Converged", "operator-3")
        assert self.check(story.history()).outcome == "pass"

    def test_one_that_was_killed_on_the_way_is_not_waited_for(self) -> None:
        """It had no time to converge; its successor has to."""
        story = self.restarted()
        story.process("signalled", "operator-2", pid=2, signal="SIGKILL")
        assert self.check(story.history()).outcome == "inconclusive"
        story.process("spawned", "operator-3", pid=3)
        story.recovery("Converged", "operator-3")
        assert self.check(story.history()).outcome == "pass"

    def test_two_operators_at_once(self) -> None:
        """Each of them has to."""
        story = self.restarted()
        story.process("spawned", "operator-3", pid=3)
        story.recovery("Converged", "operator-3")
        assert self.check(story.history()).outcome == "fail"

    def test_one_that_took_it_back(self) -> None:
        """A latch that opens again was no convergence; the last one counts."""
        story = self.restarted()
        story.recovery("Converged", "operator-2")
        story.recovery("Recovering", "operator-2")
        assert self.check(story.history()).outcome == "fail"
        story.passes(6)
        story.recovery("Converged", "operator-2")
        assert "operator-2 converged 6" in self.check(story.history()).reason

    def test_nobody_was_started(self) -> None:
        """Without a start after the mark there is nothing to wait for."""
        story = Story()
        story.process("spawned")
        story.mark("restart")
        story.recovery("Converged")
        assert self.check(story.history()).outcome == "inconclusive"


class TestNoUnexpectedExit:
    @pytest.mark.parametrize("signal", ["SIGKILL", "SIGTERM"])
    def test_told(self, signal: str) -> None:
        """An exit that was asked for is none of its own."""
        story = Story()
        story.process("spawned")
        story.process("signalled", signal=signal)
        story.process("exited")
        assert no_unexpected_exit(story.history()).outcome == "pass"

    def test_by_itself(self) -> None:
        """A crash fails, with its line, also if a signal was meant to follow."""
        story = Story()
        story.process("spawned")
        line = story.process("exited")
        story.process("signalled", signal="SIGKILL")
        found = no_unexpected_exit(story.history())
        assert (found.outcome, found.evidence) == ("fail", (line,))

    @pytest.mark.parametrize("signal", ["SIGSTOP", "SIGCONT", "SIGHUP"])
    def test_other_signals_do_not_excuse(self, signal: str) -> None:
        """A process that was stopped and continued, and then died, crashed."""
        story = Story()
        story.process("spawned")
        story.process("signalled", signal=signal)
        story.process("exited")
        assert no_unexpected_exit(story.history()).outcome == "fail"

    def test_a_pid_that_is_used_again(self) -> None:
        """The signal that an earlier process of this number got does not excuse a later one."""
        story = Story()
        for name in ("operator-1", "operator-2"):
            story.process("spawned", name)
            if name == "operator-1":
                story.process("signalled", name, signal="SIGKILL")
            story.process("exited", name)
        assert no_unexpected_exit(story.history()).outcome == "fail"

    def test_other_processes(self) -> None:
        """A server's end is not the operator's."""
        story = Story()
        story.process("spawned")
        story.process("exited", "nats", pid=9)
        assert no_unexpected_exit(story.history()).outcome == "pass"


class TestLoadSustained:
    check = staticmethod(load_sustained("sigkill", 10, start="load", end="load-end"))

    def loaded(self, *, action: str = "put device-state", gap_s: tuple[float, float] = (0.0, 0.0)) -> Story:
        """20 writes a second for a second, a kill, the same again; nothing in `gap_s` before and after the kill."""
        story = Story()
        story.mark("load")
        for side in (0, 1):
            for number in range(20):
                at_s = side + number * 0.05
                if 1 - gap_s[0] <= at_s <= 1 + gap_s[1]:
                    continue
                story.said("d.app", action=action, at_s=at_s)
            if not side:
                story.at_s = 1.0
                story.fault("applied")
        story.at_s = 2.0
        story.mark("load-end")
        return story

    def test_steady(self) -> None:
        """Acknowledged before, around and after the kill."""
        assert self.check(self.loaded().history()).outcome == "pass"

    @pytest.mark.parametrize("gap_s", [(0.55, -0.01), (0.0, 0.55)])
    def test_a_gap_at_the_kill(self, gap_s: tuple[float, float]) -> None:
        """A load that pauses just then was no load: the harness did not do its part."""
        assert self.check(self.loaded(gap_s=gap_s).history()).outcome == "inconclusive"

    def test_too_slow(self) -> None:
        """Below the rate nothing is said about the product."""
        check = load_sustained("sigkill", 30, start="load", end="load-end")
        assert check(self.loaded().history()).outcome == "inconclusive"

    def test_only_device_state_counts(self) -> None:
        """Other operations are no write load."""
        assert self.check(self.loaded(action="delete device-state").history()).outcome == "inconclusive"

    def test_another_fault(self) -> None:
        """A kill that was not applied cannot have been under load."""
        check = load_sustained("sigterm", 10, start="load", end="load-end")
        assert check(self.loaded().history()).outcome == "inconclusive"
