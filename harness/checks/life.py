"""Checks on the life of the operator: that it worked, was really hurt, came back in time, and did not die by itself."""

from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.history import Fault, History, Op, Process, Recovery

# A busy machine stops the devices for a tenth of a second while it forks; a restart takes longer than this.
ACKNOWLEDGED_WITHIN_S = 0.5
CONVERGED = "Converged"
_OPERATOR = "operator"
# Whoever got one of these was told to end; a stop or a hang-up is no reason to.
_ENDING = frozenset({"SIGKILL", "SIGTERM", "SIGINT"})


@check
def operator_worked(history: History) -> Finding:
    """`operator-worked`: an operator came up and converged before anything was done to it."""
    name = "operator-worked"
    first_fault = next((line for line, _ in history.numbered(Fault, lambda f: f.event == "applied")), None)
    for line, recovery in history.numbered(Recovery, lambda r: r.phase == CONVERGED):
        if first_fault is None or line < first_fault:
            return passed(name, f"{recovery.process} came up and converged at {recovery.at_s:.2f} s", [line])
    return inconclusive(name, "no operator converged before the fault: nothing was shown about recovery")


@check
def faults_bit(history: History) -> Finding:
    """`fault-active`: every fault that was applied was seen to be active, and every heal was seen to hold."""
    name = "fault-active"
    applied = list(history.numbered(Fault, lambda f: f.event == "applied"))
    if not applied:
        return inconclusive(name, "no fault was applied")
    unproved = [line for line, f in history.numbered(Fault, lambda f: f.event == "unproved")]
    # Each needs a proof of its own: one that was proved once may be toothless the second time.
    open_: dict[tuple[str, str], int] = {}
    for line, fault in history.numbered(Fault):
        what = (fault.name, fault.target)
        if fault.event in {"proved-active", "proved-healed"}:
            open_.pop(what, None)
        elif what in open_:
            unproved.append(open_.pop(what))
        if fault.event in {"applied", "healed"}:
            open_[what] = line
    unproved += open_.values()
    if unproved:
        return inconclusive(name, "a fault could not be proved active or healed", sorted(set(unproved)))
    names = ", ".join(sorted({f"{fault.name} on {fault.target}" for _, fault in applied}))
    return passed(name, f"{names}: applied and proved", [line for line, _ in applied])


def started_after(history: History, line: int) -> list[str]:
    """The operators that were started after a line, in order, without those that were told to end."""
    told = {p.name for p in history.of(Process) if p.event == "signalled" and p.signal in _ENDING}
    spawned = history.numbered(Process, lambda p: p.event == "spawned" and p.name.startswith(_OPERATOR))
    return [p.name for number, p in spawned if number > line and p.name not in told]


def converged_first(history: History, name: str) -> tuple[int, Recovery] | None:
    """Where one operator first says Converged."""
    return next(history.numbered(Recovery, lambda r: r.process == name and r.phase == CONVERGED), None)


def converged_for_good(history: History, name: str) -> tuple[int, Recovery] | None:
    """Where one operator says Converged and never takes it back."""
    since = None
    for line, recovery in history.numbered(Recovery, lambda r: r.process == name):
        if recovery.phase != CONVERGED:
            since = None
        elif since is None:
            since = (line, recovery)
    return since


@check_of
def converged_in_time(start: str, limit_s: float) -> Ask:
    """`converged-in-time`: each operator started after mark `start` is Converged for good `limit_s` after the mark.

    One that was told to end on the way is not waited for, its successor is.
    """
    name = "converged-in-time"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        names = started_after(history, mark[0])
        if not names:
            return inconclusive(name, f"no operator was started after {start} and left alone", [mark[0]])
        found = {operator: converged_for_good(history, operator) for operator in names}
        for operator, since in found.items():
            if since is None:
                reason = f"{operator} did not converge for good after {start} (limit {limit_s:g} s)"
                return failed(name, reason, [mark[0]])
        line, last = max((since for since in found.values() if since is not None), key=lambda since: since[0])
        took_s = last.at_s - mark[1].at_s
        reason = f"{last.process} converged {took_s:.2f} s after {start} (limit {limit_s:g} s)"
        return (passed if took_s <= limit_s else failed)(name, reason, [mark[0], line])

    return ask


@check
def no_unexpected_exit(history: History) -> Finding:
    """`no-crash`: no operator exited that was not told to."""
    name = "no-crash"
    told: set[int] = set()
    crashed: list[int] = []
    lives = 0
    for line, process in history.numbered(Process, lambda p: p.name.startswith(_OPERATOR)):
        if process.event == "spawned":
            lives += 1
            # The system may give a number to a later process again.
            told.discard(process.pid)
        elif process.event == "signalled" and process.signal in _ENDING:
            told.add(process.pid)
        elif process.event == "exited" and process.pid not in told:
            crashed.append(line)
    if not lives:
        return inconclusive(name, "no operator was started")
    if crashed:
        return failed(name, f"{len(crashed)} of {lives} operator processes exited by themselves", crashed)
    return passed(name, f"{lives} operator processes, none exited by itself")


@check_of
def load_sustained(fault: str, rate_per_s_min: float, *, start: str, end: str) -> Ask:
    """`load-sustained`: devices wrote at that rate from `start` to `end`, acknowledged right around `fault`."""
    name = "load-sustained"

    def ask(history: History) -> Finding:
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
            f"{before} in the {ACKNOWLEDGED_WITHIN_S:g} s before {fault}, {after} in those after"
        )
        if rate_per_s < rate_per_s_min or not before or not after:
            # The harness did not do its part: nothing is said about the product.
            return inconclusive(name, reason, [hit[0]])
        return passed(name, reason, [hit[0]])

    return ask
