"""Deliveries in columns: what is cut from the bytes, and that a session reads them as it reads each by itself."""

import re
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from fleet.bus.deliveries import Deliveries, Raw, entries_of, run_at
from fleet.bus.entry import Entry
from fleet.bus.session import Session
from fleet.bus.tests.sink import BUCKET, STREAM, Sink
from fleet.wire import kv_subject

PREFIX = kv_subject(BUCKET, "")
SENDER = b"$JS.ACK.%s.c.1." % STREAM.encode()
AT_NS = 1_700_000_000_500_000_000


def delivery(
    sequence: int,
    *,
    revision: int | None = None,
    key: bytes = b"k",
    value: bytes = b"x",
    sender: bytes = SENDER,
    headers: Sequence[bytes] | None = None,
) -> bytes:
    """As a server writes it: of ten in all."""
    told = b"%d.%d.%d.%d" % (revision or 100 + sequence, sequence, AT_NS, 10 - sequence)
    head = b"MSG %s%s 7 %s%s" % (PREFIX.encode(), key, sender, told)
    if headers is None:
        return b"%s %d\r\n%s\r\n" % (head, len(value), value)
    block = b"\r\n".join([b"NATS/1.0", *headers, b"", b""])
    return b"H%s %d %d\r\n%s%s\r\n" % (head, len(block), len(block) + len(value), block, value)


def runs(data: bytes) -> Iterator[tuple[int, int, Deliveries]]:
    """Where each begins and ends; what is not of one is passed over byte by byte."""
    position = 0
    while position < len(data):
        found = run_at(data, position, {b"7"})
        if found is None:
            position += 1
        else:
            run, end = found
            yield position, end, run
            position = end


def one_run(*deliveries: bytes) -> Deliveries:
    data = b"".join(deliveries)
    (run,) = [run for begin, end, run in runs(data) if (begin, end) == (0, len(data))]
    return run


def read(run: Deliveries, delivered: int = 0, position: int = 0) -> list[Entry] | None:
    entries = entries_of(run, SENDER, PREFIX, delivered, position)
    return None if entries is None else list(entries)


def test_what_they_tell() -> None:
    """Key, revision, value and the broker's time in seconds, of each in its order; bytes that are no text, too."""
    run = one_run(delivery(1, value=b""), delivery(2, key=b"a.b"), delivery(3, key=b"\xff", revision=200))
    at_s = AT_NS / 1e9
    assert read(run) == [Entry("k", 101, b"", at_s), Entry("a.b", 102, b"x", at_s), Entry("\udcff", 200, b"x", at_s)]
    assert list(run)[1] == (PREFIX.encode() + b"a.b", SENDER + b"102.2.%d.8" % AT_NS, b"x", None)
    assert run.sid == b"7"


@pytest.mark.parametrize(
    ("run", "delivered", "position"),
    [
        pytest.param(one_run(delivery(2)), 0, 0, id="one is missing before"),
        pytest.param(one_run(delivery(1), delivery(3)), 0, 0, id="one is missing between"),
        pytest.param(one_run(delivery(1), delivery(1)), 0, 0, id="twice"),
        pytest.param(one_run(delivery(4)), 3, 104, id="the revision was there"),
        pytest.param(one_run(delivery(1), delivery(2, revision=101)), 0, 0, id="the same revision"),
        pytest.param(one_run(delivery(1, sender=b"$JS.ACK.KV_x.c.1.")), 0, 0, id="another stream"),
        pytest.param(one_run(delivery(1, headers=[b"KV-Operation: DEL"])), 0, 0, id="a delete marker"),
        pytest.param(one_run(delivery(1, headers=[b"Nats-Marker-Reason: MaxAge"])), 0, 0, id="the server's own"),
    ],
)
def test_what_cannot_come_next(run: Deliveries, delivered: int, position: int) -> None:
    """A gap, a step back or another sender: the one-by-one path finds out which."""
    assert read(run, delivered, position) is None


def test_header_blocks_are_kept() -> None:
    """Whoever takes each by itself is given its block, as it came in."""
    run = one_run(delivery(1, headers=[b"A: b"]), delivery(2, headers=[b"C: d"], value=b""))
    assert [(payload, block) for _, _, payload, block in run] == [
        (b"x", b"NATS/1.0\r\nA: b\r\n\r\n"),
        (b"", b"NATS/1.0\r\nC: d\r\n\r\n"),
    ]
    entries = read(run)
    assert entries is not None
    assert [entry.value for entry in entries] == [b"x", b""]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(lambda good: good.replace(b" 1\r\nx", b" 2\r\nx"), id="the payload is shorter than said"),
        pytest.param(lambda good: good.replace(b".8 1", b".+8 1"), id="a number with a sign"),
        pytest.param(lambda good: good.replace(b".8 1", b".-8 1"), id="a number below zero"),
        pytest.param(lambda good: good.replace(b".8 1", b".8e1 1"), id="a number with an exponent"),
        pytest.param(lambda good: good.replace(b".8 1", b".8.8 1"), id="five numbers"),
        pytest.param(lambda good: good.replace(b"MSG ", b"MSG  "), id="two spaces"),
        pytest.param(lambda good: good.replace(b" 1\r\nx", b" 1 1\r\nx"), id="one size more"),
        pytest.param(lambda good: good.replace(b"MSG ", b"MSX "), id="no message"),
        pytest.param(lambda good: good.replace(b"\r\n", b"\r"), id="line breaks that are none"),
        pytest.param(lambda good: good[:-1], id="not whole"),
    ],
)
def test_whatever_is_odd_ends_them(odd: Callable[[bytes], bytes]) -> None:
    """The message before it stands; it is left to who takes one at a time."""
    first, second = delivery(1), odd(delivery(2))
    assert second != delivery(2)
    found = run_at(first + second, 0, {b"7"})
    assert found is not None
    assert (len(found[0]), found[1]) == (1, len(first))


@pytest.mark.parametrize("after", [b"X", b"XMSG a 7 1\r\nx\r\n"])
def test_an_end_that_is_none_is_noticed(after: bytes) -> None:
    """Of the last message of a run, too: what would be one stands for nothing."""
    assert run_at(delivery(1) + delivery(2)[:-1] + after, 0, {b"7"}) is None


@pytest.mark.parametrize("headers", [(), (b"A: b",)])
@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(lambda good: good.replace(b"NATS/1.0\r", b"NATS/1.1\r"), id="another version"),
        pytest.param(lambda good: good.replace(b"NATS/1.0\r", b"NATS/1.0 100\r"), id="a status"),
        pytest.param(lambda good: re.sub(rb" (\d+) (\d+)\r\nN", rb" 1\1 \2\r\nN", good), id="a longer block"),
        pytest.param(lambda good: re.sub(rb" (\d+) (\d+)\r\nN", rb" \1 1\2\r\nN", good), id="longer in all"),
        pytest.param(lambda good: good.replace(b"\r\n\r\n", b"\r\n.\r\n"), id="a block without an end"),
    ],
)
def test_whatever_is_odd_in_a_header_block_ends_them(odd: Callable[[bytes], bytes], headers: Sequence[bytes]) -> None:
    """Likewise."""
    first, good = (delivery(number, headers=headers) for number in (1, 2))
    second = odd(good)
    assert second != good
    found = run_at(first + second, 0, {b"7"})
    assert found is not None
    assert (len(found[0]), found[1]) == (1, len(first))


@pytest.mark.parametrize(
    "between",
    [
        pytest.param(b"PING\r\n", id="a ping"),
        pytest.param(b"HMSG a 7 12 12\r\nNATS/1.0\r\n\r\n\r\n", id="a message with headers"),
        pytest.param(b"MSG a 7 2\r\n\r\n\r\n", id="a message without a reply"),
    ],
)
def test_runs_end_at_anything_else(between: bytes) -> None:
    """What is between two runs is in neither, and is not lost."""
    first, second = delivery(1) + delivery(2), delivery(3)
    data = between + first + between + second + delivery(4)[:-1]
    found = [(begin, end, len(run)) for begin, end, run in runs(data)]
    start = len(between)
    again = start + len(first) + len(between)
    assert found == [(start, start + len(first), 2), (again, again + len(second), 1)]


def test_a_length_that_is_not_so_ends_them() -> None:
    """A payload that holds what looks like an end: nobody goes on behind it."""
    first, lookalike = delivery(1), delivery(2, value=b"x\r\n" + delivery(3))
    data = first + lookalike + delivery(4)
    found = run_at(data, 0, {b"7"})
    assert found is not None
    assert (len(found[0]), found[1]) == (1, len(first))
    assert run_at(data, len(first), {b"7"}) is None


def test_another_subscription_ends_them() -> None:
    """Nor is it taken for the first one's."""
    assert [len(run) for _, _, run in runs(delivery(1) + delivery(2).replace(b" 7 ", b" 8 "))] == [1]


def test_another_consumer_ends_them() -> None:
    """Whose name is as long: what it counts is nothing to the first one."""
    other = SENDER.replace(b".c.", b".d.")
    found = [(run.sender, len(run)) for _, _, run in runs(delivery(1) + delivery(2, sender=other) + delivery(3))]
    assert found == [(SENDER, 1), (other, 1), (SENDER, 1)]


def test_a_number_counts_for_its_own_message_only() -> None:
    """Five of one and three of the next are as many as of two: they are none of either."""
    five, three = (delivery(2).replace(b".8 1", b".8.8 1"), delivery(3).replace(b".7 1", b" 1"))
    assert [len(run) for _, _, run in runs(delivery(1) + five + three + delivery(4))] == [1, 1]


async def test_keys_are_counted_as_of_a_revision_within_a_run() -> None:
    """As of one in its middle, too."""
    session = Session(Client(), BUCKET, "c", Sink())
    with session.counting() as count:
        session.take(one_run(delivery(1, key=b"a"), delivery(2, key=b"b"), delivery(3, key=b"a")))
        while session._queue:
            session._slice()
        assert [count(100 + number) for number in range(4)] == [0, 1, 2, 2]
    session.close()


HEADERS = [None, None, None, (), (b"A: b",), (b"A: b", b"C: d"), (b"KV-Operation: DEL",)]
messages = st.builds(
    delivery,
    st.integers(1, 5),
    revision=st.none() | st.integers(1, 6),
    key=st.sampled_from([b"k", b"a.b", b"\xff"]),
    sender=st.sampled_from([SENDER] * 9 + [b"$JS.ACK.KV_x.c.1."]),
    headers=st.sampled_from(HEADERS),
)
in_order = st.builds(
    lambda count, headers: [delivery(1 + number, headers=headers) for number in range(count)],
    st.integers(1, 5),
    st.sampled_from(HEADERS),
)


@given(st.lists(in_order | st.lists(messages, max_size=4), max_size=3))
async def test_a_session_reads_runs_as_it_reads_messages(chunks: list[list[bytes]]) -> None:
    """Entries, promises and the reason to fail, whichever way they come in."""
    assert await outcome(chunks, at_once=True) == await outcome(chunks, at_once=False)


async def outcome(chunks: list[list[bytes]], *, at_once: bool) -> tuple[object, ...]:
    sink = Sink()
    session = Session(Client(), BUCKET, "c", sink)
    for chunk in chunks:
        for _, _, run in runs(b"".join(chunk)):
            messages: Deliveries | list[Raw] = run if at_once else list(run)
            session.take(messages)
        while session._queue:
            session._slice()
    failed = str(session.failed.exception()) if session.over else ""
    session.close()
    counts = (session.heard, session.delivered, session.position, session.candidate, session.keys)
    return (*counts, failed, sink.told, sink.expected, sink.log)
