"""Checks on a Deployment's status over time: it goes forward, and it costs one patch per change."""

import itertools
from collections import defaultdict
from dataclasses import dataclass

from fleet.canonical import dumps
from fleet.errors import WireError
from fleet.wire import Bucket, Owner, Phase, Score, decode_desired_state, decode_device_state
from harness.checks.judge import Ask, Finding, check, check_of, failed, inconclusive, passed
from harness.checks.reference import score_of, selects, status_shown
from harness.checks.ticks import outside_of_ticks
from harness.checks.window import Marks, Window, between, patches_in
from harness.history import History, KvEntry, Op, Record, Resource

# Whoever writes a status has seen all that is older than this: no operator may write while it lags further behind.
_VIEW_WITHIN_S = 5.0
# Two witnesses may tell of one instant this far apart.
_APART_S = 1.0


@dataclass(frozen=True, slots=True)
class _Count:
    """What one version of a status says has succeeded."""

    line: int
    at_s: float
    succeeded: int


@check
def status_never_back(history: History) -> Finding:
    """`status-never-back`: no status is of an older world than the one that it replaced.

    Two things are looked at for each Deployment object. `observedGeneration` never decreases. And of two statuses of
    one generation the second has no fewer `succeeded`, if nothing can have lowered that number in between or shortly
    before (`_Lowering`). Then every source has only added to it, so a later view of any of them counts at least as
    many, and a lower count is of an older view. Pairs around something that lowers are not judged.
    """
    name = "status-never-back"
    generations: dict[str, int] = {}
    counts: dict[tuple[str, Owner], list[_Count]] = defaultdict(list)
    back: list[tuple[int, str]] = []
    for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment" and r.event != "deleted"):
        shown = status_shown(resource)
        if shown is None:
            continue
        of = shown.observed_generation
        if of < generations.get(resource.uid, of):
            back.append((line, f"{resource.name} went back from generation {generations[resource.uid]} to {of}"))
        generations[resource.uid] = of
        count = _Count(line, resource.at_s, shown.aggregate.succeeded)
        counts[resource.name, Owner(resource.uid, of)].append(count)
    judged = 0
    for (deployment, owner), shown_counts in counts.items():
        lowering = _Lowering(history, deployment, owner)
        lowered_s = [at_s for record in history.records if (at_s := lowering.at_s(record)) is not None]
        for before, after in itertools.pairwise(shown_counts):
            if any(before.at_s - _VIEW_WITHIN_S <= at_s <= after.at_s + _APART_S for at_s in lowered_s):
                continue
            judged += 1
            if after.succeeded < before.succeeded:
                what = f"{deployment} went back from {before.succeeded} succeeded devices to {after.succeeded}"
                back.append((after.line, what))
    if back:
        return failed(name, f"{len(back)} statuses went back: {back[0][1]}", sorted({line for line, _ in back}))
    if not judged:
        return inconclusive(name, "no status followed another while the number of succeeded devices could only rise")
    return passed(name, f"{judged} statuses followed another while counts could only rise, and none went back")


class _Lowering:
    """When fewer devices may have succeeded than before, for one generation of a Deployment.

    A device that may have counted as succeeded is not selected any more, says something else or may have, or falls
    silent; or its key is deleted, or written though its score was right, or for another generation.
    """

    def __init__(self, history: History, deployment: str, owner: Owner) -> None:
        self._deployment = deployment
        self._suffix = f".{deployment}"
        self._owner = owner
        self._spec = next((r for r in history.of(Resource) if _is_version(r, deployment, owner)), None)
        self._score = None if self._spec is None else score_of(self._spec.spec)
        # Who reported Running for this Deployment object, and for which generation.
        self._running: dict[str, int] = {}
        # The oldest generation for which the right score was ever written: a key whose score is right keeps its own.
        self._since: dict[str, int] = {}
        self._stored: dict[str, Score] = {}

    def at_s(self, record: Record) -> float | None:
        """When it happened if this record lowers, at the earliest. Takes the records in their order."""
        match record:
            case Resource():
                return record.at_s if self._by_resource(record) else None
            case KvEntry(bucket=Bucket.DESIRED_STATE, key=key) if key.endswith(self._suffix):
                return record.at_s if self._by_key(record) else None
            case Op():
                return record.invoked_s if self._by_device(record) else None
            case _:
                return None

    def _may_count(self, target: str) -> bool:
        running, since = self._running.get(target), self._since.get(target)
        return running is not None and since is not None and running >= since

    def _by_resource(self, resource: Resource) -> bool:
        if resource.kind == "Device":
            gone = resource.event == "deleted" or self._spec is None or not selects(self._spec, resource)
            return gone and self._may_count(f"{resource.name}{self._suffix}")
        return resource.name == self._deployment and (resource.event == "deleted" or resource.deleting)

    def _by_key(self, entry: KvEntry) -> bool:
        counted, before = self._may_count(entry.key), self._stored.pop(entry.key, None)
        try:
            now = decode_desired_state(entry.value.encode())
        except WireError:
            # Deleted, or nothing that a device can run.
            return counted
        self._stored[entry.key] = now.score
        if now.owner.uid == self._owner.uid and now.score == self._score:
            self._since[entry.key] = min(now.owner.generation, self._since.get(entry.key, now.owner.generation))
        return counted and (now.owner != self._owner or now.score == before)

    def _by_device(self, op: Op) -> bool:
        if op.action in {"silence", "forget"}:
            return self._may_count(f"{op.client}{self._suffix}")
        if not op.target.endswith(self._suffix):
            return False
        counted, before, now = (
            self._may_count(op.target),
            self._running.get(op.target),
            _running_for(op, self._owner.uid),
        )
        if now is not None:
            self._running[op.target] = now
        return counted and before is not None and (now is None or now < before)


def _is_version(resource: Resource, deployment: str, owner: Owner) -> bool:
    named = resource.kind == "Deployment" and resource.name == deployment
    return named and (resource.uid, resource.generation) == (owner.uid, owner.generation)


def _running_for(op: Op, uid: str) -> int | None:
    """The generation that it reports Running for. Of a write without an answer nobody knows what it said."""
    if op.action != "put device-state" or op.outcome != "ok":
        return None
    try:
        report = decode_device_state(op.detail.encode())
    except WireError:
        return None
    return report.owner.generation if report.owner.uid == uid and report.phase is Phase.RUNNING else None


@check_of
def patches_match_status_changes(start: str, end: str) -> Ask:
    """`one-patch-per-change`: status patches are as many as the (Deployment, tick) pairs whose status changed.

    Between two marks at which all is quiet. Patches are counted at the API server, refused ones too; changes are the
    versions of a Deployment whose status bytes differ from the version before.
    """
    name, window = "one-patch-per-change", Window(start, end)

    def ask(history: History, marks: Marks) -> Finding:
        (first, _), (last, _) = marks
        patches = patches_in(history, window)
        if isinstance(patches, str):
            return inconclusive(name, patches)
        status: dict[str, bytes] = {}
        changed = 0
        for line, resource in history.numbered(Resource, lambda r: r.kind == "Deployment"):
            now = dumps(resource.status)  # type: ignore[arg-type] # it came as JSON
            if line > last:
                break
            changed += line > first and resource.event != "deleted" and now != status.get(resource.name, b"{}")
            status[resource.name] = now
        if twice := outside_of_ticks(patches):
            return failed(name, f"{len(twice)} patches came within a tick of one of the same Deployment", twice)
        if len(patches) != changed:
            refused = sum(patch.code >= 300 for _, patch in patches)  # noqa: PLR2004 - HTTP's first that is no success
            return failed(
                name,
                f"{len(patches)} status patches reached the API server between {start} and {end} ({refused} refused), "
                f"for {changed} changes of a status",
                [line for line, _ in patches],
            )
        if not changed:
            return inconclusive(name, f"no status changed between {start} and {end}")
        return passed(name, f"{len(patches)} status patches for {changed} changes of a status")

    return between(name, window, ask)
