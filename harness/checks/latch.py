"""The check that nobody says "I have seen all" before he has: what a source had seen, against what there was."""

from collections.abc import Iterator
from dataclasses import dataclass

from fleet.wire import Bucket
from harness.checks.judge import Finding, check, failed, inconclusive, passed
from harness.checks.life import CONVERGED
from harness.checks.window import read_at
from harness.history import History, Mark, Recovery, Resource, StreamState

# The five that Converged waits for (rule R2).
_BUCKETS = {b.value: b for b in (Bucket.DESIRED_STATE, Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT)}
_KINDS = {"deployments": "Deployment", "devices": "Device"}
GATING = (*_KINDS, *_BUCKETS)


@check
def latch_never_early(history: History) -> Finding:
    """`latch-never-early`: no source is current before it saw all that there was, nobody Converged without all.

    What there was is the lesser of two readings of the broker, the last before and the first after (a scenario that
    changes something reads it right after), and the objects that were there at the last mark and still are. Judged is
    each replay: the first of a life, and each later one that was seen to begin again.
    """
    name = "latch-never-early"
    early: list[tuple[int, str]] = []
    judged: dict[str, int] = dict.fromkeys(GATING, 0)
    for line, recovery in history.numbered(Recovery, lambda r: r.phase == CONVERGED):
        missing = [source for source in GATING if not _current(recovery, source)]
        if missing:
            early.append((line, f"{recovery.process} said Converged while {', '.join(missing)} was not current"))
    for replay in _replays(history):
        there = _there(history, replay.source, replay.line)
        if there is None:
            continue
        judged[replay.source] += 1
        if replay.seen < there:
            what = f"{replay.process} said that {replay.source} was current after {replay.seen} of {there}"
            early.append((replay.line, what))
    if early:
        early.sort()
        return failed(name, f"{len(early)} times, first: {early[0][1]}", [line for line, _ in early])
    unseen = [source for source, count in judged.items() if not count]
    if unseen:
        return inconclusive(name, f"nobody can tell what there was when {', '.join(unseen)} was replayed")
    return passed(name, f"{sum(judged.values())} replays were complete when their source said that it was current")


@dataclass(frozen=True, slots=True)
class _Replay:
    """A source became current on this line, having seen so many."""

    line: int
    process: str
    source: str
    seen: int


def _replays(history: History) -> Iterator[_Replay]:
    """A source that was lost and is current again without having begun anew counts on from what it had seen."""
    # By (process, source): what it had seen when it was current last, and whether it began again since.
    before: dict[tuple[str, str], int] = {}
    begun: set[tuple[str, str]] = set()
    for line, recovery in history.numbered(Recovery):
        for source in GATING:
            progress, which = recovery.sources.get(source), (recovery.process, source)
            if progress is None:
                continue
            if not progress.current:
                if progress.seen < before.get(which, progress.seen + 1):
                    begun.add(which)
            elif which in begun or which not in before:
                before[which] = progress.seen
                begun.discard(which)
                yield _Replay(line, recovery.process, source, progress.seen)


def _current(recovery: Recovery, source: str) -> bool:
    progress = recovery.sources.get(source)
    return progress is not None and progress.current


def _there(history: History, source: str, line: int) -> int | None:
    """How many there were at least when a line was written; None if nobody knows."""
    return _objects(history, _KINDS[source], line) if source in _KINDS else _messages(history, _BUCKETS[source], line)


def _messages(history: History, bucket: Bucket, line: int) -> int | None:
    mark = _mark_before(history, line)
    after = next((s for n, s in history.numbered(StreamState, lambda s: s.bucket == bucket) if n > line), None)
    if mark is None or after is None:
        return None
    before = read_at(history, bucket, mark)
    # One that was not there, or was made again in between, was empty then.
    return min(before.messages, after.messages) if before and before.created_at == after.created_at else 0


def _objects(history: History, kind: str, line: int) -> int | None:
    """Those that were there at the last mark, less those that are gone since."""
    mark = _mark_before(history, line)
    if mark is None:
        return None
    there: set[str] = set()
    for number, resource in history.numbered(Resource, lambda r: r.kind == kind):
        if number > line:
            break
        if resource.event == "deleted":
            there.discard(resource.uid)
        elif number < mark:
            there.add(resource.uid)
    return len(there)


def _mark_before(history: History, line: int) -> int | None:
    """The line of the last mark before this one: the broker was asked for all its buckets right before it."""
    return max((number for number, _ in history.numbered(Mark) if number < line), default=None)
