"""The stretch of a history between two marks, and what was written to the two ends of the product in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeGuard

from fleet.wire import Bucket
from harness.checks.judge import Ask, Finding, inconclusive
from harness.history import History, KvEntry, Mark, Record, Request, StreamState

Marks = tuple[tuple[int, Mark], tuple[int, Mark]]
"""The first and the last mark of a window, each with its line number."""


@dataclass(frozen=True, slots=True)
class Window:
    """From the last mark `start` to the last mark `end`, both of which must be there."""

    start: str
    end: str

    def marks(self, history: History) -> Marks | None:
        """Both marks with their line numbers, or None if one is missing or they are in the wrong order."""
        first, last = history.mark(self.start), history.mark(self.end)
        if first is None or last is None or first[0] >= last[0]:
            return None
        return first, last

    @property
    def missing(self) -> str:
        return f"the history has no complete window from {self.start} to {self.end}"


def between(name: str, window: Window, ask: Callable[[History, Marks], Finding]) -> Ask:
    """What a check of that name does that is told the marks of its window: without them it is inconclusive."""

    def ask_with_marks(history: History) -> Finding:
        marks = window.marks(history)
        return inconclusive(name, window.missing) if marks is None else ask(history, marks)

    return ask_with_marks


@dataclass(frozen=True, slots=True)
class Writes:
    """Writes of desired-state in a window: `stored` counted by the broker, `entries` seen by the witness.

    `messages_more` is how many more messages the bucket holds at the end: a purge of the stream stores nothing.
    """

    stored: int
    messages_more: int
    entries: tuple[tuple[int, KvEntry], ...]

    @property
    def lines(self) -> list[int]:
        return [line for line, _ in self.entries]

    @property
    def complete(self) -> bool:
        return self.stored == len(self.entries)


def writes_in(history: History, window: Window) -> Writes | str:
    """The writes, or in words why they cannot be counted."""
    marks = window.marks(history)
    if marks is None:
        return window.missing
    (first, _), (last, _) = marks
    before, after = read_at(history, Bucket.DESIRED_STATE, first), read_at(history, Bucket.DESIRED_STATE, last)
    if before is None or after is None:
        return f"{Bucket.DESIRED_STATE} was not there at {window.end if before else window.start}"
    if before.created_at != after.created_at:
        return f"{Bucket.DESIRED_STATE} was made again between {window.start} and {window.end}"
    entries = [(n, e) for n, e in history.numbered(KvEntry) if first < n < last and e.bucket == Bucket.DESIRED_STATE]
    return Writes(after.last_seq - before.last_seq, after.messages - before.messages, tuple(entries))


def read_at(history: History, bucket: Bucket, mark_line: int) -> StreamState | None:
    """What the broker said of a bucket for the mark on this line; a mark is set right after asking."""
    since = max((line for line, _ in history.numbered(Mark) if line < mark_line), default=0)
    states = history.numbered(StreamState, lambda s: s.bucket == bucket)
    return next((state for line, state in reversed(list(states)) if since < line < mark_line), None)


def last_read(history: History, bucket: Bucket) -> tuple[int, StreamState] | None:
    """What the broker said of a bucket when it was last asked, which is after the last mark; None if it was gone."""
    since = max((line for line, _ in history.numbered(Mark)), default=0)
    states = list(history.numbered(StreamState, lambda s: s.bucket == bucket))
    return states[-1] if states and states[-1][0] > since else None


def until(history: History, mark: str) -> History | None:
    """What had happened when the last mark of that name was set, right after the broker was asked; None without one."""
    found = history.mark(mark)
    return None if found is None else History(history.records[: found[0] - 1])


def is_desired_write(record: Record) -> TypeGuard[KvEntry]:
    """A message stored in desired-state; the other buckets are those of devices."""
    return isinstance(record, KvEntry) and record.bucket == Bucket.DESIRED_STATE


def is_status_patch(request: Request) -> bool:
    """A write of a Deployment's status, by whichever verb an operator prefers."""
    return request.verb in {"patch", "update"} and request.resource == "deployments" and request.subresource == "status"


def patches_in(history: History, window: Window) -> list[tuple[int, Request]] | str:
    """Status patches that reached the API server in the window, whatever it answered, or why nobody can tell."""
    marks = window.marks(history)
    if marks is None:
        return window.missing
    if not history.of(Request):
        return "the API server's audit log showed no request at all, not even the harness's own"
    begin_s, end_s = marks[0][1].at_s, marks[1][1].at_s
    return list(history.numbered(Request, lambda r: is_status_patch(r) and begin_s <= r.requested_s <= end_s))
