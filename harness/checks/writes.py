"""Checks on what the operator wrote: how often, to which keys, and whether the bytes are the right ones."""

from fleet.canonical import dumps
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import World, witness_gap
from harness.checks.window import Marks, Window, between, patches_in, writes_in
from harness.history import History, KvEntry, Resource

# An empty status, as canonical JSON.
_NO_STATUS = b"{}"


@check_of
def no_writes(start: str, end: str) -> Ask:
    """`zero-desired-writes`: nothing was stored in desired-state between two marks."""
    name, window = "zero-desired-writes", Window(start, end)

    def ask(history: History) -> Finding:
        writes = writes_in(history, window)
        if isinstance(writes, str):
            return inconclusive(name, writes)
        if writes.stored:
            return failed(
                name,
                f"{writes.stored} writes of desired-state were stored between {start} and {end}, counted by the "
                "broker; an unchanged world needs none",
                writes.lines,
            )
        if writes.messages_more:
            return failed(
                name,
                f"desired-state holds {abs(writes.messages_more)} messages fewer at {end} than at {start}, with no "
                "write: the stream was purged, and no device was told",
            )
        return passed(name, f"0 writes of desired-state between {start} and {end}, counted by the broker")

    return ask


@check_of
def no_patches(start: str, end: str) -> Ask:
    """`zero-status-patches`: no status patch reached the API server between two marks."""
    name, window = "zero-status-patches", Window(start, end)

    def ask(history: History) -> Finding:
        patches = patches_in(history, window)
        if isinstance(patches, str):
            return inconclusive(name, patches)
        if patches:
            _, first = patches[0]
            return failed(
                name,
                f"{len(patches)} status patches reached the API server between {start} and {end}, the first for "
                f"Deployment {first.name}; an unchanged world needs none",
                [line for line, _ in patches],
            )
        return passed(name, f"0 status patches between {start} and {end}, counted at the API server")

    return ask


@check_of
def status_unchanged(start: str, end: str) -> Ask:
    """`status-bytes-unchanged`: every Deployment's status is byte for byte what it was at `start`."""
    name, window = "status-bytes-unchanged", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        before: dict[str, bytes] = {}
        changed: list[int] = []
        for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
            status = dumps(resource.status)  # type: ignore[arg-type] # it came as JSON
            if line > last:
                break
            if line > first:
                if before.get(resource.name, _NO_STATUS) != status:
                    changed.append(line)
            elif resource.event == "deleted" or not resource.status:
                before.pop(resource.name, None)
            else:
                before[resource.name] = status
        if changed:
            return failed(name, f"status changed {len(changed)} times between {start} and {end}", changed)
        if not before:
            return inconclusive(name, f"no Deployment had a status at {start}")
        return passed(name, f"the status of {len(before)} Deployments is byte for byte the same")

    return between(name, window, ask)


@check_of
def exactly_one_write_each(start: str, end: str, deployment: str, count: int) -> Ask:
    """`one-edit-k-writes`: between two marks each of the `count` keys of one Deployment was written once, no other."""
    name, window = "one-edit-k-writes", Window(start, end)

    def ask(history: History) -> Finding:
        writes = writes_in(history, window)
        if isinstance(writes, str):
            return inconclusive(name, writes)
        if not writes.complete and writes.stored == count:
            return inconclusive(
                name, f"the broker stored {writes.stored} writes, the witness saw {len(writes.entries)}"
            )
        wanted = {f"{key[0]}.{key[1]}" for key in World.at_end(history).wanted if key[1] == deployment}
        keys = [entry.key for _, entry in writes.entries if entry.operation == "put"]
        if writes.stored != count or set(keys) != wanted or len(wanted) != count:
            return failed(
                name,
                f"the edit of {deployment} concerns {count} devices; {writes.stored} writes were stored, "
                f"on {len(set(keys) & wanted)} of its {len(wanted)} keys and {len(set(keys) - wanted)} others",
                writes.lines,
            )
        return passed(name, f"one edit, {count} devices, exactly {count} writes", writes.lines)

    return ask


@check
def wanted_keys_present(history: History) -> Finding:
    """`wanted-keys-present`: at the end every wanted key holds its Deployment's score, and no unwanted key is there."""
    name = "wanted-keys-present"
    world = World.at_end(history)
    wanted = world.wanted
    if not wanted and not history.of(KvEntry):
        return inconclusive(name, "nothing was ever wanted in this world, so nothing could be missing")
    if (gap := witness_gap(history)) is not None:
        return inconclusive(name, gap)
    wrong: list[str] = []
    for key, score in wanted.items():
        stored = world.stored.get(key)
        uid = world.deployments[key[1]].uid
        if stored is None or stored.score != score or stored.owner.uid != uid:
            wrong.append(f"{key[0]}.{key[1]}")
    extra = [f"{device}.{deployment}" for device, deployment in world.stored.keys() - wanted.keys()]
    if not wrong and not extra:
        return passed(name, f"all {len(wanted)} wanted keys hold what their Deployment asks for, and no other is there")
    suspects = set(wrong) | set(extra)
    lines = [line for line, entry in history.numbered(KvEntry) if entry.key in suspects]
    return failed(
        name,
        f"{len(wrong)} of {len(wanted)} wanted keys are missing or wrong{_first(wrong)}; "
        f"{len(extra)} keys are there that nobody wants{_first(extra)}",
        lines,
    )


def _first(names: list[str]) -> str:
    return f", e.g. {min(names)}" if names else ""
