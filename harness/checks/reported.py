"""Checks that nobody counts as running what nobody has reported: a desired state is no state."""

from collections import defaultdict

from fleet.errors import WireError
from fleet.wire import Bucket, Phase, decode_device_state
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import Aggregate, World, status_aggregate, witness_gap
from harness.checks.window import until
from harness.history import History, Op, Resource

_PUT, _DELETE = f"put {Bucket.DEVICE_STATE}", f"delete {Bucket.DEVICE_STATE}"


@check_of
def succeeded_only_reported(start: str) -> Ask:
    """`succeeded-only-reported`: no status written after mark `start` counts more than reports said Running by then.

    Reports that were taken away before do not count any more. A report whose answer had not come yet may have been
    stored, so it counts from when it was sent.
    """
    name = "succeeded-only-reported"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        changes = sorted(
            (op.at_s if op.action == _DELETE else op.invoked_s, number)
            for number, op in history.numbered(Op, lambda op: op.action in {_PUT, _DELETE} and op.outcome != "fail")
        )
        running: dict[str, set[str]] = defaultdict(set)
        waiting = iter([*changes, (float("inf"), 0)])
        at_s, number = next(waiting)
        ahead: list[tuple[int, str]] = []
        statuses: dict[str, object] = {}
        judged = 0
        for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
            while at_s <= resource.at_s:
                _follow(history, number, running)
                at_s, number = next(waiting)
            shown = status_aggregate(resource)
            fresh = statuses.get(resource.name) != resource.status
            statuses[resource.name] = resource.status
            if shown is None or not fresh or line < mark[0] or resource.event == "deleted":
                continue
            judged += 1
            reported = len(running[resource.name])
            if shown.succeeded > reported:
                what = f"{resource.name} counts {shown.succeeded} succeeded when {reported} devices had reported so"
                ahead.append((line, what))
        if not statuses:
            return inconclusive(name, "there was no Deployment")
        if ahead:
            reason = f"{len(ahead)} of {judged} statuses after {start}: {ahead[0][1]}"
            return failed(name, reason, [line for line, _ in ahead])
        return passed(name, f"{judged} statuses were written after {start}, none ahead of the reports", [mark[0]])

    return ask


@check_of
def pending_without_report(mark: str, count: int) -> Ask:
    """`pending-without-report`: at a mark, each of `count` wanted pairs that nobody reports about counts as pending.

    And all other counts are what reports add up to.
    """
    name = "pending-without-report"

    def ask(history: History) -> Finding:
        marked, then = history.mark(mark), until(history, mark)
        if marked is None or then is None:
            return inconclusive(name, f"the history has no mark {mark}")
        world = World.at_end(then)
        if (gap := witness_gap(then)) is not None:
            return inconclusive(name, gap, [marked[0]])
        silent = len(world.wanted.keys() - world.reports.keys())
        if silent != count:
            return inconclusive(name, f"nobody reported about {silent} pairs at {mark}, not {count}", [marked[0]])
        for deployment, resource in world.deployments.items():
            shown, true = status_aggregate(resource), world.aggregate(deployment)
            if shown != true:
                reason = f"at {mark} {deployment} shows {_words(shown)}; reports add up to {_words(true)}"
                return failed(name, reason, [marked[0]])
        return passed(name, f"{count} pairs without a report count as pending at {mark}", [marked[0]])

    return ask


def _words(counts: Aggregate | None) -> str:
    return f"{counts.succeeded} succeeded, {counts.pending} pending of {counts.matched}" if counts else "no status"


def _follow(history: History, number: int, running: dict[str, set[str]]) -> None:
    op = history.records[number - 1]
    if not isinstance(op, Op):
        return
    device, _, deployment = op.target.rpartition(".")
    try:
        says_running = op.action == _PUT and decode_device_state(op.detail.encode()).phase is Phase.RUNNING
    except WireError:
        says_running = False
    if says_running:
        running[deployment].add(device)
    elif op.action == _DELETE or op.outcome == "ok":
        running[deployment].discard(device)
