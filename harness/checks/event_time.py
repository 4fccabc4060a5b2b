"""The check that the last event wins, by event time, in whichever order reports are stored."""

from datetime import datetime

from fleet.errors import WireError
from fleet.wire import decode_device_state
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import World, status_shown, witness_gap
from harness.checks.window import Marks, Window, between
from harness.history import History, Op, Resource


@check_of
def event_time_wins(start: str, end: str) -> Ask:
    """`event-time-wins`: reports of older events, or of equally old ones, were stored late and every status is right.

    Between two marks at which all is settled. An older event changes nothing, at no time; of equally old ones the one
    stored last counts in the end.
    """
    name, window = "event-time-wins", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        if (gap := witness_gap(history)) is not None:
            return inconclusive(name, gap)
        (first, _), (last, _) = marks
        late, tied = _late_and_tied(history, first, last)
        if not late and not tied:
            return inconclusive(name, f"no report between {start} and {end} was of an event that was not new")
        world = World.at_end(history)
        true = {deployment: world.status(deployment) for deployment in world.deployments}
        versions = list(history.numbered(Resource, lambda r: r.kind == "Deployment" and r.name in true))
        looked = list({r.name: (line, r) for line, r in versions if line < last}.values())
        if not tied:
            # With nothing but older events there is no moment at which another status would have been right.
            looked += [(line, r) for line, r in versions if first < line < last]
        wrong = [(line, r) for line, r in looked if status_shown(r) != true[r.name]]
        told = f"{late} reports of older events and {tied} of equally old ones"
        if wrong:
            resource = wrong[0][1]
            shown = status_shown(resource)
            counts = "no counts" if shown is None else f"{shown.aggregate.succeeded} of {shown.aggregate.matched}"
            right = true[resource.name].aggregate.succeeded
            reason = f"after {told}, {resource.name} showed {counts} devices as succeeded, not {right}"
            return failed(name, reason, sorted({line for line, _ in wrong}))
        return passed(name, f"{told} were stored between {start} and {end}, and every status is right")

    return between(name, window, ask)


def _late_and_tied(history: History, first: int, last: int) -> tuple[int, int]:
    """How many acknowledged reports between two lines were older than one before them, and how many as old."""
    newest: dict[str, datetime] = {}
    late = tied = 0
    for line, op in history.numbered(Op, lambda o: o.action == "put device-state" and o.outcome == "ok"):
        try:
            at = decode_device_state(op.detail.encode()).last_event_at
        except WireError:
            continue
        known = newest.get(op.target)
        if known is not None and first < line < last:
            late += at < known
            tied += at == known
        newest[op.target] = at if known is None else max(known, at)
    return late, tied
