"""The broker's part of the world: four buckets of history 1, with revisions, fences, markers, loss and purge."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from fleet.errors import Conflict, PeerAway
from fleet.wire import Bucket

Value = object
"""Bytes in desired-state. Reports, labels and beats are stored decoded: decoding is not what is simulated."""

MALFORMED = b"\x00"


class Message(NamedTuple):
    """What a stream holds for a key; `value` is None for a delete marker."""

    revision: int
    key: str
    value: Value | None
    at_s: float


class BucketModel:
    """A bucket and its stream. `stored` hears of each key that changed, with None if it left no trace."""

    def __init__(self, bucket: Bucket, now_s: Callable[[], float]) -> None:
        self.bucket = bucket
        # How many times it was made; a lost bucket is not there until somebody makes it again.
        self.incarnation = 0
        self.exists = False
        self.created_s = 0.0
        self.last_revision = 0
        self.messages: dict[str, Message] = {}
        self.stored: Callable[[Bucket, str, Message | None], None] = lambda *_: None
        self._now_s = now_s

    def make(self) -> bool:
        """Make it if it is missing; whether it was."""
        if self.exists:
            return False
        self.exists = True
        self.incarnation += 1
        self.created_s = self._now_s()
        self.last_revision = max(self.last_revision + 1, int(self.created_s * 1e6))
        return True

    def lose(self) -> None:
        keys = list(self.messages)
        self.exists = False
        self.messages.clear()
        for key in keys:
            self.stored(self.bucket, key, None)

    def purge(self, keys: Iterable[str]) -> None:
        for key in keys:
            if self.messages.pop(key, None) is not None:
                self.stored(self.bucket, key, None)

    def revision(self, key: str) -> int:
        message = self.messages.get(key)
        return 0 if message is None else message.revision

    def live(self, key: str) -> Value | None:
        message = self.messages.get(key)
        return None if message is None else message.value

    def store(self, key: str, value: Value | None, expected: int | None) -> Message:
        """Write, or with None a delete marker. `expected` None is not fenced."""
        if not self.exists:
            raise PeerAway(f"bucket {self.bucket} is not there")
        if expected is not None and self.revision(key) != expected:
            raise Conflict(f"{key} is at {self.revision(key)}, not at {expected}")
        self.last_revision += 1
        message = Message(self.last_revision, key, value, self._now_s())
        # The order of the dict is the order of the stream.
        self.messages.pop(key, None)
        self.messages[key] = message
        self.stored(self.bucket, key, message)
        return message

    def after(self, position: int) -> list[Message]:
        """What a consumer that stands at `position` has yet to get: of each key only the latest."""
        found = []
        for message in reversed(self.messages.values()):
            if message.revision <= position:
                break
            found.append(message)
        found.reverse()
        return found
