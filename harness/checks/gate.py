"""Checks that a step the scenario was to reach was reached."""

from harness.checks.judge import Ask, Finding, check_of, inconclusive, passed
from harness.history import Fault, Gate, History


@check_of
def step_reached(rule: str, ordinal: int) -> Ask:
    """`step-reached`: the `ordinal`-th request of a rule was held at the HTTP fault point and never passed it."""
    name = "step-reached"

    def ask(history: History) -> Finding:
        events = list(history.numbered(Gate, lambda g: g.rule == rule and g.ordinal == ordinal))
        lines = [line for line, _ in events]
        if [gate.event for _, gate in events] != ["held", "dropped"]:
            return inconclusive(name, f"request {ordinal} of {rule} was not held and dropped", lines)
        proved = [line for line, f in history.numbered(Fault, lambda f: f.event == "proved-active")]
        if not any(lines[0] < line < lines[1] for line in proved):
            return inconclusive(name, f"no fault was active while request {ordinal} of {rule} was held", lines)
        return passed(name, f"request {ordinal} of {rule} was held, and dropped after the kill", lines)

    return ask
