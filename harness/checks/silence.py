"""Which devices are silent: what a status has to say of them follows from when they beat last (rules L1 to L4)."""

from harness.checks.life import converged_for_good
from harness.history import HAND, History, Op, Process

STALE_AFTER = "FLEET_STALE_AFTER_S"
_STALE_AFTER_S = 90.0
FALLS_SILENT = frozenset({"silence", "forget"})
COMES_BACK = frozenset({"resume", "rejoin"})


def silent_at_end(history: History) -> frozenset[str]:
    """The devices that are to be held for silent when the history ends.

    Devices of the harness beat all the time; an operation tells when one stops, and when its first beat after that was
    acknowledged. Silence is judged while others beat, or after as long of an unbroken connection.
    """
    since: dict[str, float] = {}
    speaking: set[str] = set()
    for op in history.of(Op):
        if op.outcome != "ok" or op.client == HAND:
            continue
        if op.action in FALLS_SILENT:
            # Its last beat was acknowledged before the call.
            since.setdefault(op.client, op.invoked_s)
            speaking.discard(op.client)
        elif op.action in COMES_BACK:
            since.pop(op.client, None)
            speaking.add(op.client)
        elif op.client not in since:
            speaking.add(op.client)
    limit_s = stale_after_s(history)
    now_s = history.records[-1].at_s if history.records else 0.0
    late = frozenset(device for device, at_s in since.items() if now_s - at_s > limit_s)
    if speaking or _connected_for_s(history, now_s) > limit_s:
        return late
    return frozenset()


def without_power(history: History) -> frozenset[str]:
    """The devices that make no sound when the history ends, for however long."""
    off: set[str] = set()
    for op in history.of(Op):
        if op.action in FALLS_SILENT:
            off.add(op.client)
        elif op.action in COMES_BACK:
            off.discard(op.client)
    return frozenset(off)


def stale_after_s(history: History) -> float:
    """The limit that the operator which was started last works with."""
    started = [p for p in history.of(Process) if p.event == "spawned" and p.name.startswith("operator")]
    return float(started[-1].settings.get(STALE_AFTER, _STALE_AFTER_S)) if started else _STALE_AFTER_S


def _connected_for_s(history: History, now_s: float) -> float:
    """How long an operator has been Converged without a break, which it is on unbroken connections only."""
    ended = {p.name for p in history.of(Process) if p.event == "exited"}
    names = {p.name for p in history.of(Process) if p.event == "spawned" and p.name.startswith("operator")} - ended
    since = [found[1].at_s for name in names if (found := converged_for_good(history, name)) is not None]
    return now_s - min(since) if since else 0.0
