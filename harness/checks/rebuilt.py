"""Checks on what comes back after a bucket lost what it held, and on what nobody may conclude from the loss."""

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding, check_of, failed, inconclusive, passed
from harness.checks.reference import Key, World, stored_s, witness_gap
from harness.checks.timeline import Timeline
from harness.checks.window import Marks, Window, between, read_at
from harness.history import History, KvEntry, Op, Resource

_BY_DEVICES = (Bucket.DEVICE_INFO, Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT)
_WITHDRAW = f"delete {Bucket.DEVICE_STATE}"


@check_of
def keys_rebuilt(start: str, limit_s: float) -> Ask:
    """`keys-rebuilt-in-time`: wanted keys that vanished without a marker are stored again `limit_s` after `start`.

    A key vanished if it was stored before and the broker, when it was stored once more, knew nothing under it. One
    that is not there at the end is late, however it went.
    """
    name = "keys-rebuilt-in-time"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        if (gap := witness_gap(history)) is not None:
            return inconclusive(name, gap)
        world = World.at_end(history)
        seen: set[str] = set()
        again: dict[str, tuple[int, float]] = {}
        for line, entry in history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE):
            if entry.operation == "put" and entry.previous == 0 and entry.key in seen:
                again[entry.key] = (line, stored_s(entry))
            seen.add(entry.key)
        missing = sorted(f"{device}.{app}" for device, app in world.wanted.keys() - world.stored.keys())
        late = sorted(key for key, (_, at_s) in again.items() if at_s - mark[1].at_s > limit_s)
        if missing or late:
            lines = [mark[0], *(again[key][0] for key in late)]
            return failed(
                name,
                f"{len(missing)} wanted keys were not written again{_first(missing)}; {len(late)} were, more than "
                f"{limit_s:g} s after {start}{_first(late)}",
                lines,
            )
        if not again:
            return inconclusive(name, "no key vanished, so none could be written again", [mark[0]])
        took_s = max(0.0, *(at_s - mark[1].at_s for _, at_s in again.values()))
        lines = [mark[0], *(line for line, _ in again.values())]
        return passed(name, f"{len(again)} keys that had vanished were there again {took_s:.2f} s after {start}", lines)

    return ask


@check_of
def reports_back(start: str, end: str) -> Ask:
    """`reports-back`: the buckets that devices write hold at `end` as many keys as at `start`, or more."""
    name, window = "reports-back", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        before = {bucket: read_at(history, bucket, first) for bucket in _BY_DEVICES}
        after = {bucket: read_at(history, bucket, last) for bucket in _BY_DEVICES}
        held = {bucket: state.messages for bucket, state in before.items() if state is not None and state.messages}
        if held.keys() != set(_BY_DEVICES):
            return inconclusive(name, f"devices had not written all of their buckets at {start}", [first])
        now = {bucket: state.messages if state else 0 for bucket, state in after.items()}
        fewer = [
            f"{bucket} holds {now[bucket]} keys, not {held[bucket]}" for bucket in held if now[bucket] < held[bucket]
        ]
        if fewer:
            reason = f"at {end} {', '.join(fewer)}: what devices had said is lost, and they did not say it again"
            return failed(name, reason, [first, last])
        return passed(name, f"devices' buckets hold {sum(now.values())} keys at {end}, {sum(held.values())} at {start}")

    return between(name, window, ask)


@check_of
def loss_is_no_deletion(start: str) -> Ask:
    """`loss-is-no-deletion`: since mark `start` nothing that is wanted was taken away by anybody.

    No delete marker was stored for a key that was wanted all the time, no object went, and no device withdrew its
    report, as it does once it has torn down.
    """
    name = "loss-is-no-deletion"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        if (gap := witness_gap(history)) is not None:
            return inconclusive(name, gap)
        timeline, since_s = Timeline(history), mark[1].at_s
        always = {key for key in timeline.keys if _wanted_since(timeline, key, since_s)}
        if not always:
            return inconclusive(name, f"no key was wanted all the time since {start}", [mark[0]])
        names = {f"{device}.{deployment}" for device, deployment in always}
        markers = [
            n for n, e in history.numbered(KvEntry) if n > mark[0] and e.operation == "delete" and e.key in names
        ]
        objects = [n for n, r in history.numbered(Resource, lambda r: r.event == "deleted") if n > mark[0]]
        withdrawn = [
            n for n, op in history.numbered(Op) if n > mark[0] and op.action == _WITHDRAW and op.target in names
        ]
        if markers or objects or withdrawn:
            return failed(
                name,
                f"since {start} {len(markers)} delete markers were stored for wanted keys, {len(objects)} objects went "
                f"and {len(withdrawn)} deployments were torn down on their devices; a loss is no deletion",
                sorted([*markers, *objects, *withdrawn]),
            )
        return passed(name, f"{len(always)} keys were wanted all the time, and nobody took anything away", [mark[0]])

    return ask


def _wanted_since(timeline: Timeline, key: Key, since_s: float) -> bool:
    last = timeline.stretches(key)[-1]
    return last.wanted and last.begins_to_s <= since_s


def _first(keys: list[str]) -> str:
    return f", e.g. {keys[0]}" if keys else ""
