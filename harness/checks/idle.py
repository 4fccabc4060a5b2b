"""The check that signs of life cost the Kubernetes API nothing."""

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.window import Marks, Window, between, read_at
from harness.history import History, Request, StreamState

_USER = "operator"
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@check_of
def no_kubernetes_writes(start: str, end: str, beats_min: int) -> Ask:
    """`no-kubernetes-writes`: while so many heartbeats were stored between two marks, no operator wrote an object.

    Refused writes count too. The bucket may be missing at the first mark.
    """
    name, window = "no-kubernetes-writes", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first_line, first), (last_line, last) = marks
        beats = _beats(history, first_line, last_line)
        if beats is None:
            return inconclusive(name, f"{Bucket.DEVICE_HEARTBEAT} was not there at {end}")
        requests = list(history.numbered(Request, lambda r: first.at_s <= r.requested_s <= last.at_s))
        if not any(request.user == _USER for request in history.of(Request)):
            return inconclusive(name, "the API server's audit log shows no request of an operator at all")
        writes = [(line, r) for line, r in requests if r.user == _USER and r.verb in _WRITES]
        if writes:
            _, one = writes[0]
            what = "/".join(part for part in (one.resource, one.name, one.subresource) if part)
            reason = f"{len(writes)} writes reached the API server between {start} and {end}, e.g. {one.verb} {what}"
            return failed(name, f"{reason}; {beats} heartbeats need none", [line for line, _ in writes])
        if beats < beats_min:
            return inconclusive(name, f"{beats} heartbeats were stored between {start} and {end}, not {beats_min}")
        return passed(name, f"{beats} heartbeats between {start} and {end}, and the operator wrote no object")

    return between(name, window, ask)


def _beats(history: History, first_line: int, last_line: int) -> int | None:
    """How many were stored between two marks, at the least: counted since the bucket was first read, if made later."""
    after = read_at(history, Bucket.DEVICE_HEARTBEAT, last_line)
    if after is None:
        return None
    before = read_at(history, Bucket.DEVICE_HEARTBEAT, first_line)
    if before is None or before.created_at != after.created_at:
        reads = history.numbered(StreamState, lambda s: (s.bucket, s.created_at) == (after.bucket, after.created_at))
        before = next(read for line, read in reads if line > first_line)
    return after.last_seq - before.last_seq
