"""A key as a bucket has it, and how a header block says that it was deleted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nats.aio.msg import Msg

_OPERATION = b"KV-Operation"
_DELETED = {b"DEL", b"PURGE"}
_MARKER = b"Nats-Marker-Reason"


@dataclass(frozen=True, slots=True)
class Entry:
    """`value` is None for a delete marker.

    `at_s` is the broker's time of the message in Unix seconds. A key that left no trace has revision 0 and `at_s` 0.0.
    """

    key: str
    revision: int
    value: bytes | None
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Entries:
    """News of a bucket in their order, in columns: a replay brings them by the hundred thousand.

    Each column has an element for each of them, which is what an `Entry` has under that name.
    """

    keys: Sequence[str]
    revisions: Sequence[int]
    values: Sequence[bytes | None]
    times_s: Sequence[float]

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Entry]:
        return map(Entry, self.keys, self.revisions, self.values, self.times_s)

    @classmethod
    def of(cls, *entries: Entry) -> "Entries":
        return cls(
            [entry.key for entry in entries],
            [entry.revision for entry in entries],
            [entry.value for entry in entries],
            [entry.at_s for entry in entries],
        )


def may_be_marker(headers: bytes) -> bool:
    """False if `is_marker` is False for each header block of which these are parts."""
    return _OPERATION in headers or _MARKER in headers


def is_marker(headers: bytes) -> bool:
    """Whether this header block says that the key was deleted, by a client or by the server's own limits."""
    if not may_be_marker(headers):
        return False
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == _MARKER or (name == _OPERATION and value.strip() in _DELETED):
            return True
    return False


def raw_headers(message: Msg) -> bytes | None:
    """The header block of a message that came the ordinary way, near enough to what the wire had."""
    if not message.headers:
        return None
    headers = dict(message.headers)
    status = " ".join(headers.pop(name) for name in ("Status", "Description") if name in headers)
    first = f"NATS/1.0 {status}" if status else "NATS/1.0"
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()
