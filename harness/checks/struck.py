"""The check that a fault came at the moment it was meant for."""

from harness.checks.judge import Ask, Finding, check_of, inconclusive, passed
from harness.history import Fault, History, Recovery


@check_of
def struck_while(phase: str, start: str) -> Ask:
    """`struck-while`: the operator said `phase` when the first fault after mark `start` was applied."""
    name = "struck-while"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        applied = history.numbered(Fault, lambda f: f.event == "applied")
        struck = next(((line, fault) for line, fault in applied if line > mark[0]), None)
        if struck is None:
            return inconclusive(name, f"no fault was applied after {start}", [mark[0]])
        line, fault = struck
        said = [(number, recovery) for number, recovery in history.numbered(Recovery) if number < line]
        if not said or said[-1][1].phase != phase:
            what = said[-1][1].phase if said else "nothing"
            return inconclusive(name, f"the operator said {what}, not {phase}, when {fault.name} was applied", [line])
        return passed(name, f"{said[-1][1].process} was {phase} when {fault.name} was applied", [said[-1][0], line])

    return ask
