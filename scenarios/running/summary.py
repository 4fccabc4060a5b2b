"""A history in one line and a handful of facts, for people. Pure."""

from dataclasses import dataclass

from harness.checks.judge import Judgement
from harness.checks.window import is_desired_write, is_status_patch
from harness.history import Fault, History, Op, Recovery, Request, Resource
from harness.history.records import VerdictOutcome

# Fewer than this is no load worth naming in a headline.
_LOAD_PER_S_MIN = 20.0


@dataclass(frozen=True, slots=True)
class Summary:
    outcome: VerdictOutcome
    headline: str
    facts: tuple[tuple[str, str], ...]


def summarise(history: History, judgement: Judgement, *, trouble: str | None = None) -> Summary:
    """`trouble` is what ended the case before it could be judged: nothing was shown about the product then."""
    outcome = judgement.outcome if judgement.findings else "infra-error"
    if trouble is not None and outcome != "fail":
        outcome = "infra-error"
    return Summary(outcome, _headline(history, judgement, outcome, trouble), _facts(history))


def recovered_after_s(history: History) -> float | None:
    """Seconds from the last fault that was healed to the Converged of whoever came after it."""
    healed = [(line, f) for line, f in history.numbered(Fault, lambda f: f.event == "healed")]
    applied = [f for f in history.of(Fault) if f.event == "applied"]
    if not healed or not applied:
        return None
    after = applied[-1].at_s
    later = [r.at_s for r in history.of(Recovery) if r.at_s > after and r.phase == "Converged"]
    return min(later) - after if later else None


def _headline(history: History, judgement: Judgement, outcome: VerdictOutcome, trouble: str | None) -> str:
    bad = judgement.of(outcome)
    if outcome == "pass":
        took_s = recovered_after_s(history)
        held = f"all {len(judgement.findings)} checks held"
        if took_s is None:
            return held.capitalize()
        rate_per_s = _rate_around_fault(history)
        load = f" under {rate_per_s:.0f} writes/s" if rate_per_s >= _LOAD_PER_S_MIN else ""
        return f"Recovered {took_s:.2f} s after {_faults(history)}{load}; {held}"
    if bad:
        return f"{bad[0].check}: {bad[0].reason}"
    return trouble or "nothing was judged"


def _faults(history: History) -> str:
    names = sorted({f.name for f in history.of(Fault)})
    return " and ".join(name.upper() if name.startswith("sig") else name for name in names)


def _rate_around_fault(history: History) -> float:
    """Device writes acknowledged per second, from one second before the last fault to one after."""
    applied = [f.at_s for f in history.of(Fault) if f.event == "applied"]
    if not applied:
        return 0.0
    return sum(op.outcome == "ok" and abs(op.at_s - applied[-1]) <= 1.0 for op in history.of(Op)) / 2.0


def _facts(history: History) -> tuple[tuple[str, str], ...]:
    names = {kind: {r.name for r in history.of(Resource) if r.kind == kind} for kind in ("Device", "Deployment")}
    acked = [op for op in history.of(Op) if op.outcome == "ok" and op.action == "put device-state"]
    took_s = recovered_after_s(history)
    facts = [
        ("devices", str(len(names["Device"]))),
        ("deployments", str(len(names["Deployment"]))),
        ("device reports acknowledged", f"{len(acked):,}"),
        ("desired-state writes", f"{sum(map(is_desired_write, history.records)):,}"),
        ("status patches", f"{sum(is_status_patch(r) for r in history.of(Request)):,}"),
    ]
    if took_s is not None:
        facts.append(("fault to Converged", f"{took_s:.2f} s"))
    return tuple(facts)
