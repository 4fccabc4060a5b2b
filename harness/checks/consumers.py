"""The check that nothing reads on for nobody: a consumer that is left behind costs the broker for ever."""

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.window import Marks, Window, between, read_at
from harness.history import History


@check_of
def consumers_unchanged(start: str, end: str) -> Ask:
    """`consumers-unchanged`: every stream has as many consumers at mark `end` as it had at mark `start`."""
    name, window = "consumers-unchanged", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        more: list[str] = []
        total = 0
        for bucket in Bucket:
            before, after = read_at(history, bucket, first), read_at(history, bucket, last)
            if before is None or after is None:
                return inconclusive(name, f"{bucket} was not there at {end if before else start}")
            total += before.consumers
            if before.consumers != after.consumers:
                more.append(f"{bucket} has {after.consumers} consumers, not {before.consumers}")
        if more:
            return failed(name, f"at {end}: {'; '.join(more)}", [first, last])
        if not total:
            return inconclusive(name, f"no stream had a consumer at {start}: nobody was there who could leave one")
        return passed(name, f"{total} consumers on {len(Bucket)} streams, at {start} and at {end}")

    return between(name, window, ask)
