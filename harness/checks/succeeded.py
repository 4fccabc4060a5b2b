"""The check on what a status had said at one instant of a history."""

from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import Aggregate, World, status_aggregate
from harness.checks.window import until
from harness.history import History


@check_of
def succeeded_at(mark: str, deployment: str, count: int) -> Ask:
    """`succeeded-at`: at a mark the status says that `count` devices are matched, and that all of them succeeded."""
    name = "succeeded-at"

    def ask(history: History) -> Finding:
        then, marked = until(history, mark), history.mark(mark)
        if then is None or marked is None:
            return inconclusive(name, f"the history has no mark {mark}")
        resource = World.at_end(then).deployments.get(deployment)
        shown = None if resource is None else status_aggregate(resource)
        if shown == Aggregate(matched=count, succeeded=count):
            return passed(name, f"{deployment}: succeeded={count} at {mark}", [marked[0]])
        return failed(name, f"{deployment} shows {shown} at {mark}; wanted was succeeded={count}", [marked[0]])

    return ask
