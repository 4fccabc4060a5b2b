"""The stretch of a history between two marks, and what was written to the two ends of the product in it."""

from dataclasses import dataclass

from fleet.wire import Bucket
from harness.history import History, KvEntry, Request, StreamState


@dataclass(frozen=True, slots=True)
class Window:
    """From the last mark `start` to the last mark `end`, both of which must be there."""

    start: str
    end: str

    def times(self, history: History) -> tuple[float, float] | None:
        """(from, to) in seconds, or None if a mark is missing or they are in the wrong order."""
        first, last = history.mark(self.start), history.mark(self.end)
        if first is None or last is None or first[0] >= last[0]:
            return None
        return first[1].at_s, last[1].at_s


@dataclass(frozen=True, slots=True)
class Writes:
    """Writes of desired-state in a window: `stored` counted by the broker, `entries` seen by the witness."""

    stored: int
    entries: tuple[tuple[int, KvEntry], ...]

    @property
    def lines(self) -> list[int]:
        return [line for line, _ in self.entries]

    @property
    def complete(self) -> bool:
        return self.stored == len(self.entries)


def writes_in(history: History, window: Window) -> Writes | None:
    """None if the window is not there or the broker was not asked at both of its ends."""
    times = window.times(history)
    if times is None:
        return None
    begin, end = times
    states = history.of(StreamState)
    before = [s for s in states if s.bucket == Bucket.DESIRED_STATE and s.at_s <= begin]
    after = [s for s in states if s.bucket == Bucket.DESIRED_STATE and begin < s.at_s <= end]
    if not before or not after:
        return None
    entries = tuple(history.numbered(KvEntry, lambda e: begin < e.at_s <= end and e.bucket == Bucket.DESIRED_STATE))
    return Writes(after[-1].last_seq - before[-1].last_seq, entries)


def is_status_patch(request: Request) -> bool:
    return request.verb == "patch" and request.resource == "deployments" and request.subresource == "status"


def patches_in(history: History, window: Window) -> list[tuple[int, Request]] | None:
    """Status patches that reached the API server in the window, whatever it answered."""
    times = window.times(history)
    if times is None:
        return None
    begin, end = times
    return list(history.numbered(Request, lambda r: is_status_patch(r) and begin <= r.requested_s <= end))
