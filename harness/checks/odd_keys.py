"""Checks on keys that are nobody's: what names nothing is left alone, what names something unwanted goes."""

from fleet.wire import Bucket, Pair, desired_key
from harness.checks.entries import Entry, planted
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import World, witness_gap
from harness.checks.window import Window, writes_in
from harness.history import HAND, History, KvEntry, Op


@check
def left_alone(history: History) -> Finding:
    """`left-alone`: every entry whose key names nothing stands at the revision at which the hand wrote it.

    By what the hand read last; a key of desired-state must not have been written again either.
    """
    name = "left-alone"
    entries = [entry for entry in planted(history) if entry.names is None]
    if not entries:
        return inconclusive(name, "no key that names nothing was written")
    wrong: list[tuple[int, str]] = []
    for entry in entries:
        look = (HAND, f"get {entry.bucket}", entry.key)
        looks = [(line, op) for line, op in history.numbered(Op) if (op.client, op.action, op.target) == look]
        if not looks or looks[-1][0] < entry.line:
            return inconclusive(name, f"nobody looked at {entry.bucket} {entry.key} afterwards", [entry.line])
        line, found = looks[-1]
        if found.revision != entry.revision:
            wrong.append((line, f"{entry.bucket} {entry.key!a} is not as the hand wrote it"))
        wrong += [
            (number, f"{entry.key!a} of {entry.bucket} was written ({kv.operation})")
            for number, kv in history.numbered(KvEntry)
            if (kv.bucket, kv.key) == (entry.bucket, entry.key) and kv.revision > entry.revision
        ]
    if wrong:
        return failed(name, wrong[0][1], sorted({line for line, _ in wrong}))
    return passed(name, f"{len(entries)} entries whose keys name nothing stand as they were written")


@check
def orphans_swept(history: History) -> Finding:
    """`orphans-swept`: every pair that the hand named and nobody wants has a delete marker at the end.

    Named by a key of desired-state, whatever its value, or by a report that can be understood. It is written once.
    """
    name = "orphans-swept"
    if (gap := witness_gap(history)) is not None:
        return inconclusive(name, gap)
    world = World.at_end(history)
    orphans = {key: entry for entry in planted(history) if (key := _orphan(entry, world)) is not None}
    if not orphans:
        return inconclusive(name, "no key was written that names a pair which nobody wants")
    wrong: list[tuple[int, str]] = []
    for key, entry in orphans.items():
        later = [(line, kv) for line, kv in history.numbered(KvEntry) if kv.key == key and line > entry.line]
        markers = [line for line, kv in later if kv.operation == "delete"]
        if not markers or later[-1][1].operation != "delete":
            wrong.append((entry.line, f"{key} is wanted by nobody and was not swept"))
        elif len(markers) > 1:
            wrong.append((markers[-1], f"{key} was deleted {len(markers)} times"))
    if wrong:
        return failed(name, f"{len(wrong)} of {len(orphans)} orphans: {wrong[0][1]}", [line for line, _ in wrong])
    return passed(name, f"{len(orphans)} pairs that nobody wants have a delete marker each")


def _orphan(entry: Entry, world: World) -> str | None:
    """The key of desired-state of the unwanted pair that an entry names; None if it names none."""
    pair = entry.names
    if not isinstance(pair, Pair) or pair in world.wanted:
        return None
    # A report that nobody understands reports nothing.
    named = entry.bucket is Bucket.DESIRED_STATE or not entry.is_malformed
    return desired_key(pair) if named else None


@check_of
def wanted_keys_untouched(start: str, end: str) -> Ask:
    """`wanted-keys-untouched`: between two marks no key was written that is wanted at the end."""
    name, window = "wanted-keys-untouched", Window(start, end)

    def ask(history: History) -> Finding:
        writes = writes_in(history, window)
        if isinstance(writes, str):
            return inconclusive(name, writes)
        if not writes.complete:
            what = f"the broker stored {writes.stored} writes, the witness saw {len(writes.entries)}"
            return inconclusive(name, what, writes.lines)
        wanted = {f"{device}.{deployment}" for device, deployment in World.at_end(history).wanted}
        touched = [(line, entry.key) for line, entry in writes.entries if entry.key in wanted]
        if touched:
            what = f"{len(touched)} writes of wanted keys, the first of {touched[0][1]}"
            return failed(name, f"{what}; nothing asked for one", [line for line, _ in touched])
        return passed(name, f"none of {len(wanted)} wanted keys was written between {start} and {end}")

    return ask
