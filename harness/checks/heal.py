"""Bounded liveness: once the last fault is over, whoever still lives is Converged soon, and stays so."""

from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.life import converged_for_good
from harness.history import Fault, History, Process

_OPERATOR = "operator"
_OVER = frozenset({"healed", "proved-healed"})


@check_of
def converged_after_heal(limit_s: float) -> Ask:
    """`converged-after-heal`: each operator that lives is Converged for good, `limit_s` after the last heal.

    Of the last heal the later record counts: the heal itself or its proof.
    """
    name = "converged-after-heal"

    def ask(history: History) -> Finding:
        over = next(reversed(list(history.numbered(Fault, lambda f: f.event in _OVER))), None)
        if over is None:
            return inconclusive(name, "no fault was healed")
        living = living_at_end(history)
        if not living:
            return inconclusive(name, "no operator lives at the end", [over[0]])
        latest_s, lines = 0.0, [over[0]]
        for operator in living:
            since = converged_for_good(history, operator)
            if since is None:
                reason = f"{operator} did not converge for good after the last heal (limit {limit_s:g} s)"
                return failed(name, reason, [over[0]])
            lines.append(since[0])
            latest_s = max(latest_s, since[1].at_s - over[1].at_s)
        reason = f"{', '.join(living)} Converged for good {latest_s:.2f} s after the last heal (limit {limit_s:g} s)"
        return (passed if latest_s <= limit_s else failed)(name, reason, lines)

    return ask


def living_at_end(history: History) -> list[str]:
    """The operators that were started and have not exited, in the order of their starts."""
    living: dict[str, None] = {}
    for process in history.of(Process):
        if not process.name.startswith(_OPERATOR):
            continue
        if process.event == "spawned":
            living[process.name] = None
        elif process.event == "exited":
            living.pop(process.name, None)
    return list(living)
