"""Checks on values of desired-state that are not the operator's: it puts them right, devices keep to the last good."""

from collections import defaultdict

from fleet.errors import WireError
from fleet.wire import Bucket, Owner, decode_desired_state, decode_device_state, parse_desired_key
from harness.checks.entries import Entry, planted
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import World
from harness.checks.window import Marks, Window, between, until, writes_in
from harness.history import History, KvEntry, Op, Recovery

_PUT_STATE = f"put {Bucket.DEVICE_STATE}"
_DELETE_STATE = f"delete {Bucket.DEVICE_STATE}"


@check_of
def rewritten_once(start: str, end: str) -> Ask:
    """`rewritten-once`: each value of desired-state that was not as it should be was put right once, no other written.

    Between two marks at which all is settled. A value that says what its Deployment asks for, in whatever bytes and of
    whatever generation, is left alone.
    """
    name, window = "rewritten-once", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        writes = writes_in(history, window)
        if isinstance(writes, str):
            return inconclusive(name, writes)
        # What was wanted then: a later edit asks for something else.
        world = World.at_end(until(history, end) or history)
        by_hand = {e.key: e for e in planted(history, marks[0][0]) if e.bucket is Bucket.DESIRED_STATE}
        due = {key: _is_wrong(entry, world) for key, entry in by_hand.items() if entry.names in world.wanted}
        if not due:
            return inconclusive(name, f"no wanted key was written by hand between {start} and {end}")
        revisions = {entry.revision for entry in by_hand.values()}
        rewrites: dict[str, list[int]] = defaultdict(list)
        for line, entry in writes.entries:
            if entry.revision not in revisions:
                rewrites[entry.key].append(line)
        off = sorted(key for key, wrong in due.items() if len(rewrites[key]) != wrong)
        too_often = any(len(rewrites[key]) > due[key] for key in off)
        if not writes.complete and not too_often:
            what = f"the broker stored {writes.stored} writes, the witness saw {len(writes.entries)}"
            return inconclusive(name, what, writes.lines)
        if off:
            times = f"{off[0]} {len(rewrites[off[0]])} times, not {'once' if due[off[0]] else 'at all'}"
            lines = [line for key in off for line in rewrites[key]] or [by_hand[off[0]].line]
            return failed(name, f"{len(off)} of {len(due)} keys were not written as was due: {times}", lines)
        strangers = sorted(rewrites.keys() - by_hand.keys())
        if strangers:
            lines = [line for key in strangers for line in rewrites[key]]
            return failed(name, f"{len(strangers)} keys were written that nobody had touched: {strangers[0]}", lines)
        count = sum(due.values())
        reason = f"{count} keys were put right by one write each, {len(due) - count} were left as they are"
        return passed(name, reason, [line for key in due for line in rewrites[key]])

    return between(name, window, ask)


def _is_wrong(entry: Entry, world: World) -> bool:
    """Whether a wanted key's value says anything else than its Deployment."""
    try:
        value = decode_desired_state(entry.value.encode())
    except WireError:
        return True
    pair = parse_desired_key(entry.key)
    return value.score != world.wanted[pair] or value.owner.uid != world.deployments[pair.deployment].uid


@check_of
def last_good_kept(start: str, end: str) -> Ask:
    """`last-good-kept`: a device that cannot understand its desired state keeps to the one before, and says so.

    For each malformed value that the hand wrote between two marks: the device takes nothing down, and reports, for the
    desired state that it had, that it refused one.
    """
    name, window = "last-good-kept", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        bad = [
            e
            for e in planted(history, first)
            if e.bucket is Bucket.DESIRED_STATE and e.is_malformed and e.names is not None
        ]
        had = {e.key: owner for e in bad if (owner := _owner_before(history, e)) is not None}
        if not had:
            return inconclusive(name, f"between {start} and {end} no device was given what it cannot understand")
        wrong: list[tuple[int, str]] = []
        for entry in bad:
            if entry.key not in had:
                continue
            ops = [(line, op) for line, op in history.numbered(Op) if op.target == entry.key and op.outcome == "ok"]
            theirs = [(line, op) for line, op in ops if op.invoked_s >= entry.invoked_s and line < last]
            wrong += [(line, f"{entry.key} was taken down") for line, op in theirs if op.action == _DELETE_STATE]
            if not any(_says_so(op, had[entry.key]) for _, op in theirs):
                wrong.append((entry.line, f"the device of {entry.key} did not say that it keeps to what it had"))
        if wrong:
            return failed(name, wrong[0][1], sorted({line for line, _ in wrong}))
        return passed(name, f"for {len(had)} keys the devices kept to what they had, and said so")

    return between(name, window, ask)


def _owner_before(history: History, entry: Entry) -> Owner | None:
    """Of the last good value under a key before the hand wrote, if its device had reported for it."""
    owner = None
    reported: set[Owner] = set()
    for record in history.records[: entry.line]:
        if isinstance(record, KvEntry) and record.key == entry.key and record.revision < entry.revision:
            try:
                owner = decode_desired_state(record.value.encode()).owner
            except WireError:
                continue
        elif isinstance(record, Op) and record.action == _PUT_STATE and record.target == entry.key:
            try:
                reported.add(decode_device_state(record.detail.encode()).owner)
            except WireError:
                continue
    return owner if owner in reported else None


def _says_so(op: Op, owner: Owner) -> bool:
    if op.action != _PUT_STATE:
        return False
    try:
        report = decode_device_state(op.detail.encode())
    except WireError:
        return False
    return report.owner == owner and bool(report.last_error)


@check
def brake_not_held(history: History) -> Finding:
    """`brake-not-held`: no operator ever held a sweep back: what was done here is no sweep, or a small one."""
    name = "brake-not-held"
    if not history.of(Recovery):
        return inconclusive(name, "no operator answered /recovery")
    held = list(history.numbered(Recovery, lambda r: r.held is not None))
    if held:
        return failed(name, f"{held[0][1].process} held a sweep: {held[0][1].held}", [line for line, _ in held])
    return passed(name, "no sweep was held")
