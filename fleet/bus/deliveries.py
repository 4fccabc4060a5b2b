"""What a JetStream consumer pushed, cut from the wire by the hundred: one pass of a regular expression over the bytes.

A replay brings hundreds of thousands of messages that differ in their texts alone. So they are kept in columns, one
for each part of a message, and whoever reads them works on whole columns: what takes Python a loop takes C one call.
"""

import operator
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from fleet.bus.entry import Entries

Raw: TypeAlias = tuple[bytes, bytes, bytes, bytes | None]
"""A message: subject, reply, payload and the raw header block."""

NS: Final = 1e9

# Without headers, delivered for the first time, in the short form of an acknowledgement's subject (nats-server's
# ADR-15), and with a payload in which no carriage return could be taken for the end:
# MSG subject sid $JS.ACK.STREAM.CONSUMER.1.REVISION.SEQUENCE.TIME.PENDING size
_DELIVERY = re.compile(
    rb"MSG (\S+) (\d+) (\$JS\.ACK\.[^. \r\n]+\.[^. \r\n]+\.1\.)(\d{1,19})\.(\d{1,19})\.(\d{1,19})\.(\d{1,19}) "
    rb"(\d{1,10})\r\n([^\r]*)\r\n"
)
_SID, _SIZE, _PAYLOAD = 2, 8, 9
_COLUMNS = 10
# What stands between the parts of a message.
_BETWEEN_BYTES = len(b"MSG   ... \r\n\r\n")


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Messages of one subscription in their order; each column has an element for each of them, as on the wire.

    `senders` are the acknowledgement's subject up to the numbers: which stream and consumer sent it.
    """

    sid: bytes
    subjects: Sequence[bytes]
    senders: Sequence[bytes]
    revisions: Sequence[bytes]
    sequences: Sequence[bytes]
    times_ns: Sequence[bytes]
    pending: Sequence[bytes]
    payloads: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.subjects)

    def __iter__(self) -> Iterator[Raw]:
        """Each by itself, as any other message."""
        numbers = zip(self.revisions, self.sequences, self.times_ns, self.pending, strict=True)
        for subject, sender, told, payload in zip(self.subjects, self.senders, numbers, self.payloads, strict=True):
            yield subject, sender + b".".join(told), payload, None


def runs(data: bytes) -> Iterator[tuple[int, int, Deliveries]]:
    """Deliveries that follow one another without a gap, and between which bytes of `data` they stand.

    What is left out is not lost: it may be a delivery that is not whole, or of another form. What is found may be a
    part of something else that stands before it: only who knows how long that is can tell.
    """
    parts = _DELIVERY.split(data)
    gaps = parts[::_COLUMNS]
    count = _as_said(parts)
    first = position = 0
    while first < count:
        last = first + 1
        while last < count and not gaps[last]:
            last += 1
        columns = [parts[first * _COLUMNS + column : last * _COLUMNS : _COLUMNS] for column in range(1, _COLUMNS)]
        position += len(gaps[first])
        if last == len(gaps) - 1:
            end = len(data) - len(gaps[last])
        else:
            end = position + (last - first) * _BETWEEN_BYTES + sum(sum(map(len, column)) for column in columns)
        subjects, sids, senders, revisions, sequences, times_ns, pending, _, payloads = columns
        yield position, end, Deliveries(sids[0], subjects, senders, revisions, sequences, times_ns, pending, payloads)
        first, position = last, end


def _as_said(parts: Sequence[bytes]) -> int:
    """How many of the first messages are of one subscription, and have the length that they say."""
    sids, sizes, payloads = parts[_SID::_COLUMNS], parts[_SIZE::_COLUMNS], parts[_PAYLOAD::_COLUMNS]
    lengths = list(map(len, payloads))
    if list(map(int, sizes)) == lengths and len(set(sids)) <= 1:
        return len(sids)
    said = zip(sids, map(int, sizes), lengths, strict=True)
    return next(number for number, (sid, size, length) in enumerate(said) if size != length or sid != sids[0])


def key_of(subject: bytes, prefix: str) -> str:
    """Any bytes make a subject; whoever is given the key refuses it if these are no text."""
    return subject.decode(errors="surrogateescape").removeprefix(prefix)


def entries_of(run: Deliveries, sender: bytes, prefix: str, delivered: int, position: int) -> Entries | None:
    """What they tell of a bucket whose subjects begin with `prefix`; None if they are not what has to come next.

    That are messages of `sender` alone, numbered without a gap from `delivered` + 1, of revisions that rise from above
    `position`.
    """
    count = len(run)
    sequences, revisions = list(map(int, run.sequences)), list(map(int, run.revisions))
    if (
        run.senders.count(sender) != count
        or sequences != list(range(delivered + 1, delivered + 1 + count))
        or revisions[0] <= position
        or not all(map(operator.lt, revisions, revisions[1:]))
    ):
        return None
    # No subject has a line end in it, so they are decoded as one text.
    first, *keys = b"\n".join([b"", *run.subjects]).decode(errors="surrogateescape").split(f"\n{prefix}")
    if first or len(keys) != count:
        return None
    return Entries(keys, revisions, run.payloads, [int(time_ns) / NS for time_ns in run.times_ns])
