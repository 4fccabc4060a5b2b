"""Checks that something was done at the moment that the scenario meant, and not before or after."""

from harness.checks.judge import Ask, Finding, check_of, inconclusive, passed
from harness.checks.life import CONVERGED, started_after
from harness.checks.window import Marks, Window, between
from harness.history import Gate, History, Recovery


@check_of
def while_recovering(start: str, end: str) -> Ask:
    """`while-recovering`: no operator that was started after mark `start` had converged at mark `end`."""
    name, window = "while-recovering", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, finish) = marks
        converged = _converged_first(history, first)
        if isinstance(converged, str):
            return inconclusive(name, converged, [first])
        line, recovery = converged
        if line < last:
            reason = f"{recovery.process} had converged {finish.at_s - recovery.at_s:.2f} s before {end}"
            return inconclusive(name, reason, [line, last])
        return passed(name, f"{recovery.process} was still recovering at {end}", [last, line])

    return between(name, window, ask)


@check_of
def right_after_convergence(start: str, end: str, limit_s: float) -> Ask:
    """`right-after-convergence`: mark `end` is at most `limit_s` after an operator that was started first converged."""
    name, window = "right-after-convergence", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, finish) = marks
        converged = _converged_first(history, first)
        if isinstance(converged, str):
            return inconclusive(name, converged, [first])
        line, recovery = converged
        after_s = finish.at_s - recovery.at_s
        reason = f"{end} was {after_s:.2f} s after {recovery.process} had converged (limit {limit_s:g} s)"
        lines = [line, last]
        return passed(name, reason, lines) if 0 <= after_s <= limit_s else inconclusive(name, reason, lines)

    return between(name, window, ask)


def _converged_first(history: History, start_line: int) -> tuple[int, Recovery] | str:
    """Where the first of the operators started after a line first said Converged, or in words why nowhere."""
    started = started_after(history, start_line)
    if not started:
        return "no operator was started then and left alone"
    said = history.numbered(Recovery, lambda r: r.process in started and r.phase == CONVERGED)
    return next(said, f"{', '.join(started)} never converged")


@check_of
def held_over(rule: str, ordinal: int, mark: str) -> Ask:
    """`held-over`: the `ordinal`-th request of a rule was held before a mark and let through after it."""
    name = "held-over"

    def ask(history: History) -> Finding:
        marked = history.mark(mark)
        events = list(history.numbered(Gate, lambda g: g.rule == rule and g.ordinal == ordinal))
        lines = [line for line, _ in events]
        if marked is None or [gate.event for _, gate in events] != ["held", "released"]:
            return inconclusive(name, f"request {ordinal} of {rule} was not held and released around {mark}", lines)
        if not lines[0] < marked[0] < lines[1]:
            return inconclusive(name, f"{mark} was not set while request {ordinal} of {rule} was held", lines)
        return passed(name, f"request {ordinal} of {rule} was held until after {mark}", lines)

    return ask
