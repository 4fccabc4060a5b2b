"""Checks on what goes with an object that is deleted, on what stays of it, and on what comes back."""

from collections.abc import Sequence

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.silence import without_power
from harness.history import History, KvEntry, Op, Resource

PUT_STATE, DELETE_STATE = "put device-state", "delete device-state"
PUBLISHED = "look at what is published"


@check
def deleted_objects_gone(history: History) -> Finding:
    """`deleted-objects-gone`: an object that is being deleted does not stay: its finalizer is taken off."""
    name = "deleted-objects-gone"
    going: dict[str, tuple[int, str]] = {}
    gone = 0
    for line, resource in history.numbered(Resource):
        if resource.event == "deleted":
            gone += going.pop(resource.uid, None) is not None
        elif resource.deleting:
            going.setdefault(resource.uid, (line, f"{resource.kind} {resource.name}"))
    if going:
        first = min(what for _, what in going.values())
        reason = f"{len(going)} objects were deleted and are still there, e.g. {first}"
        return failed(name, reason, [line for line, _ in going.values()])
    if not gone:
        return inconclusive(name, "no object waited for a finalizer when it was deleted")
    return passed(name, f"each of {gone} objects that were deleted is gone")


@check_of
def reports_withdrawn(start: str) -> Ask:
    """`reports-withdrawn`: whoever reported about a key at mark `start` and lost it says nothing of it at the end.

    A device withdraws its report once it has torn down. One without power at the end does so when it is back.
    """
    name = "reports-withdrawn"

    def ask(history: History) -> Finding:
        mark = history.mark(start)
        if mark is None:
            return inconclusive(name, f"the history has no mark {start}")
        reporting = _reporting(History(history.records[: mark[0]]))
        desired = history.numbered(KvEntry, lambda e: e.bucket == Bucket.DESIRED_STATE)
        newest = {entry.key: (line, entry) for line, entry in desired}
        lost = {key for key, (line, entry) in newest.items() if line > mark[0] and entry.operation == "delete"}
        off = without_power(history)
        told = {key for key in lost & reporting.keys() if key.rpartition(".")[0] not in off}
        reporting = _reporting(history)
        still = told & reporting.keys()
        if still:
            return failed(
                name,
                f"{len(still)} of {len(told)} devices still report about what was taken from them, e.g. {min(still)}",
                sorted(reporting[key] for key in still),
            )
        if not told:
            return inconclusive(name, f"no device with power lost a key that it reported about after {start}")
        return passed(name, f"{len(told)} reports were withdrawn after their keys were deleted")

    return ask


def _reporting(history: History) -> dict[str, int]:
    """The pairs that some device reports about at the end, with the line of the newest report."""
    reporting: dict[str, int] = {}
    for line, op in history.numbered(Op, lambda op: op.outcome == "ok"):
        if op.action == PUT_STATE:
            reporting[op.target] = line
        elif op.action == DELETE_STATE:
            reporting.pop(op.target, None)
    return reporting


@check_of
def device_rebuilt(names: Sequence[str], labels: Sequence[str]) -> Ask:
    """`device-rebuilt`: a Device of each of these names went, and another one is there at the end with these labels.

    `labels` are of the form `name=value`, of the first device and of each other one alike.
    """
    name = "device-rebuilt"

    def ask(history: History) -> Finding:
        newest: dict[str, tuple[int, Resource]] = {}
        gone: dict[str, set[str]] = {device: set() for device in names}
        for line, resource in history.numbered(Resource, lambda r: r.kind == "Device" and r.name in gone):
            if resource.event == "deleted":
                gone[resource.name].add(resource.uid)
            newest[resource.name] = line, resource
        if kept := [device for device in names if not gone[device]]:
            return inconclusive(name, f"Device {kept[0]} was never gone, so it could not be made again")
        lines = [line for line, _ in newest.values()]
        missing = [d for d in names if newest[d][1].event == "deleted" or newest[d][1].uid in gone[d]]
        if missing:
            return failed(name, f"{len(missing)} of {len(names)} Devices are not there again, e.g. {missing[0]}", lines)
        found = {d: tuple(sorted(f"{k}={v}" for k, v in newest[d][1].labels.items())) for d in names}
        wrong = [device for device in names if found[device] != tuple(sorted(labels))]
        if wrong:
            why = f"Device {wrong[0]} is there again with {', '.join(found[wrong[0]]) or 'no labels'}"
            return failed(name, f"{why}, not {', '.join(labels) or 'without any'}", lines)
        return passed(name, f"{len(names)} Devices are there again, with {', '.join(labels) or 'no labels'}", lines)

    return ask


@check
def devices_forgotten(history: History) -> Finding:
    """`device-forgotten`: nothing is left of what these devices had published.

    The case looks into the buckets and writes down, for each device, the keys that are still live.
    """
    name = "device-forgotten"
    looks = {op.target: (line, op) for line, op in history.numbered(Op, lambda op: op.action == PUBLISHED)}
    if not looks:
        return inconclusive(name, "nobody looked at what is published")
    left = {device: found for device, found in looks.items() if found[1].detail}
    if left:
        line, op = left[min(left)]
        return failed(name, f"{len(left)} of {len(looks)} devices left something: {op.detail}", [line])
    return passed(name, f"nothing is left of {len(looks)} devices", [line for line, _ in looks.values()])
