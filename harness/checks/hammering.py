"""Checks on what reached the HTTP fault point while trouble was on there: that it hit, and that nobody hammered.

While any trouble is on, the gate tells of each request of the product, of those that came to harm (`faulted`) and of
those that got through (`passed`). Requests of the harness's own are not among them.
"""

from collections import deque

from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.history import Gate, History, Process

_OPERATOR = "operator"
_COUNTED = frozenset({"faulted", "passed"})
_WINDOW_S = 1.0


@check_of
def no_hammering(per_s_max: int) -> Ask:
    """`no-hammering`: while the API server is in trouble, each operator sends at most so many requests in any second.

    Which operator sent a request cannot be told at the gate: two that live at once have twice the bound.
    """
    name = "no-hammering"

    def ask(history: History) -> Finding:
        lives = _lives(history)
        window: deque[tuple[int, float]] = deque()
        worst: tuple[float, int, list[int]] | None = None
        total = 0
        for line, gate in history.numbered(Gate, lambda g: g.event in _COUNTED):
            total += 1
            window.append((line, gate.at_s))
            while gate.at_s - window[0][1] >= _WINDOW_S:
                window.popleft()
            living = max(1, sum(begin <= gate.at_s and end >= window[0][1] for begin, end in lives))
            each = len(window) / living
            if worst is None or each > worst[0]:
                worst = (each, living, [number for number, _ in window])
        if worst is None:
            return inconclusive(name, "no request came while the API server was in trouble: nobody tried")
        each, living, lines = worst
        begin_s = history.records[lines[0] - 1].at_s
        reason = (
            f"{each:.0f} requests of each of {living} operators in the worst second, from {begin_s:.2f} s on "
            f"(at most {per_s_max}); {total} in all while the API server was in trouble"
        )
        return (passed if each <= per_s_max else failed)(name, reason, [lines[0], lines[-1]])

    return ask


@check_of
def requests_hit(rule: str, least: int = 1) -> Ask:
    """`requests-hit`: at least so many requests of the product came to harm under this rule."""
    name = "requests-hit"

    def ask(history: History) -> Finding:
        lines = [line for line, _ in history.numbered(Gate, lambda g: g.event == "faulted" and g.rule == rule)]
        if len(lines) < least:
            return inconclusive(name, f"{len(lines)} {rule} requests of the product came to harm, not {least}", lines)
        return passed(name, f"{len(lines)} {rule} requests of the product came to harm", lines)

    return ask


def _lives(history: History) -> list[tuple[float, float]]:
    """From when to when each operator lived."""
    begun: dict[str, float] = {}
    ended: list[tuple[float, float]] = []
    for process in history.of(Process):
        if process.name.startswith(_OPERATOR):
            if process.event == "spawned":
                begun[process.name] = process.at_s
            elif process.event == "exited" and process.name in begun:
                ended.append((begun.pop(process.name), process.at_s))
    return [*ended, *((at_s, float("inf")) for at_s in begun.values())]
