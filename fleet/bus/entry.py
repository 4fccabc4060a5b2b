"""A key as a bucket has it, and how a header block says that it was deleted."""

from dataclasses import dataclass

_OPERATION = b"KV-Operation"
_DELETED = {b"DEL", b"PURGE"}
_MARKER = b"Nats-Marker-Reason"


# Not frozen: a replay makes one for each key, and a frozen dataclass takes twice as long to make.
@dataclass(slots=True)
class Entry:
    """`value` is None for a delete marker.

    `at_s` is the broker's time of the message in Unix seconds. A key that left no trace has revision 0 and `at_s` 0.0.
    """

    key: str
    revision: int
    value: bytes | None
    at_s: float = 0.0


def is_marker(headers: bytes) -> bool:
    """Whether this header block says that the key was deleted, by a client or by the server's own limits."""
    if _OPERATION not in headers and _MARKER not in headers:
        return False
    for line in headers.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name == _MARKER or (name == _OPERATION and value.strip() in _DELETED):
            return True
    return False
