"""The check that whoever writes a key writes the same bytes: two versions of an operator must not disagree."""

from fleet.errors import WireError
from fleet.wire import Bucket, Score, decode_desired_state
from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.history import History, KvEntry


@check
def writes_byte_identical(history: History) -> Finding:
    """`writes-byte-identical`: every put of desired-state is canonical, so that equal values are equal bytes.

    All puts of a key for one owner uid and one score are the same bytes, apart from the owner's generation: a
    Deployment may be edited where no device notices.
    """
    name = "writes-byte-identical"
    first: dict[tuple[str, str, Score], tuple[int, str]] = {}
    odd: list[tuple[int, str]] = []
    repeated = 0
    for line, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE and e.operation == "put"):
        try:
            value = decode_desired_state(entry.value.encode())
        except WireError as e:
            odd.append((line, f"{entry.key} holds what no device can read: {e}"))
            continue
        what = entry.key, value.owner.uid, value.score
        known = first.setdefault(what, (line, entry.value))
        repeated += known[0] != line
        if entry.value == value.encode().decode():
            continue
        beside = f", and line {known[0]} says the same in other bytes" if known[1] != entry.value else ""
        odd.append((line, f"{entry.key} is not in the canonical form{beside}"))
    if odd:
        return failed(name, f"{len(odd)} puts, e.g. {odd[0][1]}", [line for line, _ in odd])
    if not first:
        return inconclusive(name, "nothing was put into desired-state")
    return passed(name, f"{len(first)} values were put, {repeated} of them once more, each in its one canonical form")
