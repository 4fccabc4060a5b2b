"""What the hand wrote into buckets, read from a history, and what the contract says of each entry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fleet.errors import WireError
from fleet.wire import (
    Bucket,
    DeviceId,
    Pair,
    decode_desired_state,
    decode_device_info,
    decode_device_state,
    decode_heartbeat,
    parse_desired_key,
    parse_heartbeat_key,
    parse_info_key,
    parse_state_key,
)
from harness.history import HAND, History, KvEntry, Op, Record

_PARSE: Mapping[Bucket, Callable[[str], Pair | DeviceId]] = {
    Bucket.DESIRED_STATE: parse_desired_key,
    Bucket.DEVICE_STATE: parse_state_key,
    Bucket.DEVICE_INFO: parse_info_key,
    Bucket.DEVICE_HEARTBEAT: parse_heartbeat_key,
}
_DECODE: Mapping[Bucket, Callable[[bytes], object]] = {
    Bucket.DESIRED_STATE: decode_desired_state,
    Bucket.DEVICE_STATE: decode_device_state,
    Bucket.DEVICE_INFO: decode_device_info,
    Bucket.DEVICE_HEARTBEAT: decode_heartbeat,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One value that the hand put under a key, on this line of the history: when that was acknowledged.

    Who reads it may have acted on it before; nobody did before `invoked_s`.
    """

    line: int
    bucket: Bucket
    key: str
    revision: int
    value: str
    invoked_s: float

    @property
    def names(self) -> Pair | DeviceId | None:
        """The pair or the device that its key names; None if it names nothing."""
        try:
            return _PARSE[self.bucket](self.key)
        except WireError:
            return None

    @property
    def is_malformed(self) -> bool:
        """Whether its key or its value cannot be understood."""
        if self.names is None:
            return True
        try:
            _DECODE[self.bucket](self.value.encode())
        except WireError:
            return True
        return False


def planted(history: History, after: int = 0) -> list[Entry]:
    """What the hand put after a line, in order."""
    found = []
    for line, op in history.numbered(Op, lambda o: o.client == HAND and o.outcome == "ok"):
        action, _, bucket = op.action.partition(" ")
        if action == "put" and line > after and op.revision is not None:
            found.append(Entry(line, Bucket(bucket), op.target, op.revision, op.detail, op.invoked_s))
    return found


def replaces(record: Record, entry: Entry) -> bool:
    """Whether a record tells of a later value or marker under the key of an entry."""
    if isinstance(record, KvEntry):
        return (record.bucket, record.key) == (entry.bucket, entry.key) and record.revision > entry.revision
    if not isinstance(record, Op) or record.action not in {f"put {entry.bucket}", f"delete {entry.bucket}"}:
        return False
    key = record.target if record.client == HAND else f"state.{record.target}"
    return key == entry.key and record.revision is not None and record.revision > entry.revision
