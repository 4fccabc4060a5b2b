"""What a JetStream consumer pushed, cut from the wire by the hundred.

A replay brings hundreds of thousands of messages that differ in their texts alone. So they are kept in columns, one
for each part of a message, and whoever reads them works on whole columns: what takes Python a loop takes C one call.
Split at their line ends, they have each part at the same place:

    HMSG subject sid $JS.ACK.STREAM.CONSUMER.1.REVISION.SEQUENCE.TIME.PENDING size size
    NATS/1.0
    Name: value

    payload

and everything that this takes for granted is compared with the sizes that they say themselves.
"""

import operator
import re
from bisect import bisect_left
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import msgspec

from fleet.bus.entry import Entries, may_be_marker

Raw: TypeAlias = tuple[bytes, bytes, bytes, bytes | None]
"""A message: subject, reply, payload and the raw header block."""

NS: Final = 1e9

# Delivered for the first time, in the short form of an acknowledgement's subject (nats-server's ADR-15).
_HEAD = re.compile(
    rb"(H?MSG) \S+ (\d+) (\$JS\.ACK\.[^. \r\n]+\.[^. \r\n]+\.1\.)\d{1,19}\.\d{1,19}\.\d{1,19}\.\d{1,19}"
    rb"((?: \d{1,10}){1,2})\r\n"
)
_END, _BLOCK_END = b"\r\n", b"\r\n\r\n"
_VERSION, _BLANK = b"NATS/1.0", b"\n"
# A head and a payload.
_PLAIN_LINES = 2
# What is beyond is cut in the next turn.
_LINES_MAX = 8192

_numbers = msgspec.json.Decoder(list[int])


class _Form(NamedTuple):
    """What messages have in common that are cut together. Lines are split at \\r, and so begin with \\n."""

    kind: bytes
    sid: bytes
    sender: bytes
    lines: int


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Messages of one subscription and one consumer in their order; each column has an element for each of them.

    `sender` is the acknowledgement's subject up to the numbers: which stream and consumer sent them. `headers` has a
    column for each header that a message has, each with the line break before it; None if they have no header blocks.
    """

    sid: bytes
    sender: bytes
    subjects: Sequence[bytes]
    revisions: Sequence[int]
    sequences: Sequence[int]
    times_ns: Sequence[int]
    pending: Sequence[int]
    payloads: Sequence[bytes]
    headers: Sequence[Sequence[bytes]] | None

    def __len__(self) -> int:
        return len(self.subjects)

    def __iter__(self) -> Iterator[Raw]:
        """Each by itself, as any other message."""
        numbers = zip(self.revisions, self.sequences, self.times_ns, self.pending, strict=True)
        for number, (subject, told, payload) in enumerate(zip(self.subjects, numbers, self.payloads, strict=True)):
            block = None
            if self.headers is not None:
                block = b"\r".join([_VERSION, *(column[number] for column in self.headers), _BLANK]) + _END
            yield subject, self.sender + b"%d.%d.%d.%d" % told, payload, block


def run_at(data: bytes, position: int, sids: Container[bytes]) -> tuple[Deliveries, int] | None:
    """The deliveries that begin here and follow one another, and where they end.

    None if the message that begins here is none, has another form, or is of another subscription than `sids`.
    """
    found = _HEAD.match(data, position)
    if found is None or found[2] not in sids:
        return None
    kind, sid, sender, sizes = found.groups()
    begin = found.end()
    end = begin + int(sizes.rpartition(b" ")[2])
    if not data.startswith(_END, end):
        return None
    block = data[begin : data.find(_BLOCK_END, begin, end) + len(_BLOCK_END)] if kind == b"HMSG" else b""
    form = _Form(b"\n" + kind, sid, sender, 2 + block.count(_END))
    lines = (b"\n" + data[position:]).split(b"\r", _LINES_MAX)
    # What follows the last line: its end is there if that begins with one.
    ended = len(lines) - (1 if lines[-1] else 2)
    run = _first_alike(lines[: ended // form.lines * form.lines], form)
    if run is None:
        return None
    left = lines[len(run) * form.lines :]
    if not left[0].startswith(b"\n"):
        # The last message's end is none.
        return None
    return run, len(data) + 2 - sum(map(len, left)) - len(left)


def _first_alike(lines: Sequence[bytes], form: _Form) -> Deliveries | None:
    """All of them or, if something else stands among them, those before it; None if that is the first."""

    def first(count: int) -> Deliveries | None:
        return _columns(lines[: count * form.lines], form)

    run = _columns(lines, form)
    if run is None:
        # Most often the server asks something: that has other lines, and all heads behind it are elsewhere.
        told, heads = b" %b %b" % (form.sid, form.sender), lines[:: form.lines]
        count = next((number for number, head in enumerate(heads) if told not in head), len(heads))
        run = first(count) or first(bisect_left(range(1, count + 1), True, key=lambda count: first(count) is None))
    return run


def _columns(lines: Sequence[bytes], form: _Form) -> Deliveries | None:
    """Whole messages; None if a single one of them has not this form."""
    heads = b" ".join(lines[:: form.lines]).split(b" ")
    payloads = lines[form.lines - 1 :: form.lines]
    headed = form.lines > _PLAIN_LINES
    headers = _headers(lines, form) if headed else None
    count, parts = len(payloads), 6 if headed else 5
    kinds, subjects, sids, replies, *sizes = (heads[part::parts] for part in range(parts))
    if (
        not count
        or (headed and headers is None)
        or len(heads) != count * parts
        or kinds.count(form.kind) != count
        or sids.count(form.sid) != count
        # What stands between two texts in the order of bytes begins as both of them do.
        or not (min(replies).startswith(form.sender) and max(replies).startswith(form.sender))
    ):
        return None
    # Each begins with the line break that ended the line before it: where it is to be is what the sizes say.
    payloads = list(map(operator.itemgetter(slice(1, None)), payloads))
    told = b",".join(map(operator.itemgetter(slice(len(form.sender), None)), replies))
    if told.translate(None, b"0123456789") != b",".join([b"..."] * count):
        return None
    try:
        numbers = _numbers.decode(b"[%b]" % told.replace(b".", b","))
        if [_numbers.decode(b"[%b]" % b",".join(column)) for column in sizes] != _lengths(headers, payloads):
            return None
    except msgspec.MsgspecError:
        return None
    revisions, sequences, times_ns, pending = (numbers[part::4] for part in range(4))
    return Deliveries(form.sid, form.sender, subjects, revisions, sequences, times_ns, pending, payloads, headers)


def _headers(lines: Sequence[bytes], form: _Form) -> list[Sequence[bytes]] | None:
    """The columns of header blocks without their first and last lines, which have to be the same in all."""
    first, *headers, last = (lines[line :: form.lines] for line in range(1, form.lines - 1))
    same = first.count(b"\n" + _VERSION) == len(first) and last.count(_BLANK) == len(last)
    return headers if same else None


def _lengths(headers: Sequence[Sequence[bytes]] | None, payloads: Sequence[bytes]) -> list[list[int]]:
    """What the sizes of messages have to be: of header blocks, if they have any, and of all that follows the head."""
    lengths = list(map(len, payloads))
    if headers is None:
        return [lengths]
    # Each line, its \r, and the end of the block.
    blocks = [len(_VERSION) + len(headers) + len(_BLOCK_END)] * len(payloads)
    for column in headers:
        blocks = list(map(operator.add, blocks, map(len, column)))
    return [blocks, list(map(operator.add, blocks, lengths))]


def key_of(subject: bytes, prefix: str) -> str:
    """Any bytes make a subject; whoever is given the key refuses it if these are no text."""
    return subject.decode(errors="surrogateescape").removeprefix(prefix)


def entries_of(run: Deliveries, sender: bytes, prefix: str, delivered: int, position: int) -> Entries | None:
    """What they tell of a bucket whose subjects begin with `prefix`; None if they are not what has to come next.

    That are values from `sender`, numbered without a gap from `delivered` + 1, of revisions that rise from above
    `position`.
    """
    count, revisions = len(run), run.revisions
    if (
        run.sender != sender
        or list(run.sequences) != list(range(delivered + 1, delivered + 1 + count))
        or revisions[0] <= position
        or not all(map(operator.lt, revisions, revisions[1:]))
        or any(may_be_marker(b"".join(column)) for column in run.headers or ())
    ):
        return None
    # No subject has a line end in it, so they are decoded as one text.
    first, *keys = b"\n".join([b"", *run.subjects]).decode(errors="surrogateescape").split(f"\n{prefix}")
    if first or len(keys) != count:
        return None
    return Entries(keys, revisions, run.payloads, [time_ns / NS for time_ns in run.times_ns])
