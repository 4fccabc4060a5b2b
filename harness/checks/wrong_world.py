"""Checks on an operator in a wrong world: the fleet runs on, nothing is written for it, and it is said why."""

from fleet.errors import WireError
from fleet.wire import Bucket, Score, decode_desired_state
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import witness_gap
from harness.checks.window import Marks, Window, between, read_at, writes_in
from harness.history import History, KvEntry, Process, Recovery, Request

_WRITING = frozenset({"create", "update", "patch", "delete"})


@check_of
def fleet_kept(start: str, end: str) -> Ask:
    """`fleet-kept`: whatever a device was to run at mark `start`, it was to run all the time until `end`.

    No key that was live got a delete marker, and none got another score: what it says of its owner may change.
    """
    name, window = "fleet-kept", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        begin, writes = marks[0][1], writes_in(history, window)
        if isinstance(writes, str):
            return inconclusive(name, writes)
        seen = f"{writes.stored} writes were stored, the witness saw {len(writes.entries)}"
        if (gap := witness_gap(history) or (None if writes.complete else seen)) is not None:
            return inconclusive(name, gap)
        live: dict[str, Score | None] = {}
        for _, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE and e.at_s < begin.at_s):
            live[entry.key] = _score(entry)
        live = {key: score for key, score in live.items() if score is not None}
        if not live:
            return inconclusive(name, f"no device was to run anything at {start}")
        if writes.messages_more < 0:
            return failed(name, f"desired-state lost {-writes.messages_more} messages: it was purged")
        about = [(line, entry) for line, entry in writes.entries if entry.key in live]
        gone = [(line, entry) for line, entry in about if entry.operation == "delete"]
        other = [(line, e) for line, e in about if e.operation == "put" and _score(e) != live[e.key]]
        if gone or other:
            first = (gone or other)[0][1]
            return failed(
                name,
                f"of {len(live)} keys that were live at {start}, {len({e.key for _, e in gone})} got a delete marker "
                f"and {len({e.key for _, e in other})} another score before {end}, first {first.key}",
                [line for line, _ in sorted((*gone, *other), key=lambda found: found[0])],
            )
        return passed(name, f"all {len(live)} keys of {start} kept their score until {end}")

    return between(name, window, ask)


def _score(entry: KvEntry) -> Score | None:
    """None for a delete marker; malformed bytes are nothing that a device runs, either."""
    if entry.operation == "delete":
        return None
    try:
        return decode_desired_state(entry.value.encode()).score
    except WireError:
        return None


@check_of
def nothing_written(start: str, end: str) -> Ask:
    """`nothing-written`: between two marks no operator wrote a key or an object, or made a bucket."""
    name, window = "nothing-written", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, begin), (last, finish) = marks
        if not history.of(Request):
            return inconclusive(name, "the API server's audit log showed no request at all")
        found: list[str] = []
        for bucket in Bucket:
            before, after = read_at(history, bucket, first), read_at(history, bucket, last)
            if after is not None and (before is None or before.created_at != after.created_at):
                found.append(f"bucket {bucket} was made")
            elif bucket is Bucket.DESIRED_STATE and after is not None and before is not None:
                stored = after.last_seq - before.last_seq
                found += [f"{stored} keys were written"] if stored else []
        requests = list(
            history.numbered(
                Request,
                lambda r: r.verb in _WRITING and "operator" in r.user and begin.at_s <= r.requested_s <= finish.at_s,
            )
        )
        if requests:
            _, request = requests[0]
            found.append(f"{len(requests)} objects were, the first by {request.verb} {request.resource}/{request.name}")
        if found:
            lines = [line for line, _ in history.numbered(KvEntry) if first < line < last]
            return failed(name, f"between {start} and {end} {', '.join(found)}", [*lines, *(n for n, _ in requests)])
        return passed(name, f"no key, no object and no bucket was written between {start} and {end}")

    return between(name, window, ask)


@check_of
def brake_told(start: str, end: str, words: str) -> Ask:
    """`brake-told`: between two marks an operator said at /recovery that a sweep waits, and why: `words` are in it."""
    name, window = "brake-told", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        said = [(n, r.held) for n, r in history.numbered(Recovery) if first < n < last and r.held is not None]
        for line, held in said:
            if words in held:
                return passed(name, f"an operator said: {held}", [line])
        heard = f"what was said is: {said[-1][1]}" if said else "no sweep was said to wait"
        return failed(name, f"nobody said {words!r} between {start} and {end}; {heard}", [line for line, _ in said])

    return between(name, window, ask)


@check_of
def refusal_told(start: str, end: str, cluster: str, namespace: str) -> Ask:
    """`refusal-told`: between two marks an operator said whose the buckets are, as its last words or at /recovery."""
    name, window = "refusal-told", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        said = [(n, p.last_words) for n, p in history.numbered(Process) if first < n < last and p.last_words]
        for line, recovery in history.numbered(Recovery):
            if first < line < last:
                said += [(line, source.trouble) for source in recovery.sources.values() if source.trouble]
        for line, text in said:
            if cluster in text and namespace in text:
                return passed(name, f"an operator said: {' '.join(text.split())[-400:]}", [line])
        heard = f"what was said is: {' '.join(said[-1][1].split())[-300:]}" if said else "nobody said anything"
        reason = f"nobody said that the buckets belong to namespace {namespace} of cluster {cluster}; {heard}"
        return failed(name, reason, [line for line, _ in said])

    return between(name, window, ask)
