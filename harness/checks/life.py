"""Checks on the life of the operator: that it worked, was really hurt, came back in time, and did not die by itself."""

from harness.checks.judge import Check, Finding, failed, inconclusive, passed
from harness.history import Fault, History, Op, Process, Recovery

ACKNOWLEDGED_WITHIN_S = 0.1


def operator_worked(history: History) -> Finding:
    """`operator-worked`: an operator came up and converged before anything was done to it."""
    name = "operator-worked"
    first_fault = next((line for line, _ in history.numbered(Fault, lambda f: f.event == "applied")), None)
    for line, recovery in history.numbered(Recovery, lambda r: r.phase == "Converged"):
        if first_fault is None or line < first_fault:
            return passed(name, f"{recovery.process} came up and converged at {recovery.at_s:.2f} s", [line])
    return inconclusive(name, "no operator converged before the fault: nothing was shown about recovery")


def faults_bit(history: History) -> Finding:
    """`fault-active`: every fault that was applied was seen to be active, and every heal was seen to hold."""
    name = "fault-active"
    applied = list(history.numbered(Fault, lambda f: f.event == "applied"))
    proofs = [(f.name, f.target) for f in history.of(Fault) if f.event == "proved-active"]
    unproved = [line for line, f in history.numbered(Fault, lambda f: f.event == "unproved")]
    if not applied:
        return inconclusive(name, "no fault was applied")
    missing = [line for line, fault in applied if (fault.name, fault.target) not in proofs]
    if missing or unproved:
        return inconclusive(name, "a fault could not be proved active or healed", missing + unproved)
    what = ", ".join(sorted({f"{fault.name} on {fault.target}" for _, fault in applied}))
    return passed(name, f"{what}: applied and proved", [line for line, _ in applied])


def converged_in_time(start: str, limit_s: float) -> Check:
    """`converged-in-time`: an operator says Converged at most `limit_s` after mark `start`."""
    name = "converged-in-time"

    def check(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        for line, recovery in history.numbered(Recovery, lambda r: r.phase == "Converged"):
            if line > mark[0]:
                took_s = recovery.at_s - mark[1].at_s
                reason = f"{recovery.process} converged {took_s:.2f} s after {start} (limit {limit_s:g} s)"
                return (passed if took_s <= limit_s else failed)(name, reason, [mark[0], line])
        return failed(name, f"no operator converged after {start} (limit {limit_s:g} s)", [mark[0]])

    return check


def no_unexpected_exit(history: History) -> Finding:
    """`no-crash`: no operator exited that was not told to."""
    name = "no-crash"
    told: set[int] = set()
    crashed: list[int] = []
    lives = 0
    for line, process in history.numbered(Process, lambda p: p.name.startswith("operator")):
        lives += process.event == "spawned"
        if process.event == "signalled":
            told.add(process.pid)
        elif process.event == "exited" and process.pid not in told:
            crashed.append(line)
    if crashed:
        return failed(name, f"{len(crashed)} of {lives} operator processes exited by themselves", crashed)
    return passed(name, f"{lives} operator processes, none exited by itself")


def load_sustained(fault: str, rate_per_s_min: float, *, start: str, end: str) -> Check:
    """`load-sustained`: devices wrote at that rate from `start` to `end`, acknowledged right around `fault`."""
    name = "load-sustained"

    def check(history: History) -> Finding:
        first, last = history.mark(start), history.mark(end)
        hit = next(((n, f) for n, f in history.numbered(Fault) if f.name == fault and f.event == "applied"), None)
        if first is None or last is None or hit is None:
            return inconclusive(name, f"the history lacks {fault} or the marks {start} and {end}")
        acked = [op.at_s for op in history.of(Op) if op.outcome == "ok" and op.action == "put device-state"]
        span_s = last[1].at_s - first[1].at_s
        rate_per_s = sum(first[1].at_s <= t <= last[1].at_s for t in acked) / span_s if span_s > 0 else 0.0
        at_s = hit[1].at_s
        before = sum(at_s - ACKNOWLEDGED_WITHIN_S <= t < at_s for t in acked)
        after = sum(at_s <= t <= at_s + ACKNOWLEDGED_WITHIN_S for t in acked)
        reason = (
            f"{rate_per_s:.0f} writes/s acknowledged from {start} to {end} (at least {rate_per_s_min:g}); "
            f"{before} in the 100 ms before {fault}, {after} in the 100 ms after"
        )
        if rate_per_s < rate_per_s_min or not before or not after:
            # The harness did not do its part: nothing is said about the product.
            return inconclusive(name, reason, [hit[0]])
        return passed(name, reason, [hit[0]])

    return check
