"""Deliveries in columns: what is cut from the bytes, and that a session reads them as it reads each by itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client

from fleet.bus.deliveries import Deliveries, Raw, entries_of, runs
from fleet.bus.entry import Entry
from fleet.bus.session import Session
from fleet.bus.tests.sink import BUCKET, STREAM, Sink
from fleet.wire import kv_subject

PREFIX = kv_subject(BUCKET, "")
SENDER = b"$JS.ACK.%s.c.1." % STREAM.encode()
AT_NS = 1_700_000_000_500_000_000


def delivery(
    sequence: int, *, revision: int | None = None, key: bytes = b"k", value: bytes = b"x", sender: bytes = SENDER
) -> bytes:
    """As a server writes it: of ten in all."""
    told = b"%d.%d.%d.%d" % (revision or 100 + sequence, sequence, AT_NS, 10 - sequence)
    return b"MSG %s%s 7 %s%s %d\r\n%s\r\n" % (PREFIX.encode(), key, sender, told, len(value), value)


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
        pytest.param(one_run(delivery(1), delivery(2, sender=b"$JS.ACK.KV_x.c.1.")), 0, 0, id="another stream"),
    ],
)
def test_what_cannot_come_next(run: Deliveries, delivered: int, position: int) -> None:
    """A gap, a step back or another sender: the one-by-one path finds out which."""
    assert read(run, delivered, position) is None


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
    lookalike = delivery(2, value=b"x\r\n" + delivery(3))
    found = [len(run) for _, _, run in runs(delivery(1) + lookalike + delivery(4))]
    assert found == [1]


def test_another_subscription_ends_them() -> None:
    """Nor is it taken for the first one's."""
    assert [len(run) for _, _, run in runs(delivery(1) + delivery(2).replace(b" 7 ", b" 8 "))] == [1]


async def test_keys_are_counted_as_of_a_revision_within_a_run() -> None:
    """As of one in its middle, too."""
    session = Session(Client(), BUCKET, "c", Sink())
    with session.counting() as count:
        session.take(one_run(delivery(1, key=b"a"), delivery(2, key=b"b"), delivery(3, key=b"a")))
        while session._queue:
            session._slice()
        assert [count(100 + number) for number in range(4)] == [0, 1, 2, 2]
    session.close()


messages = st.builds(
    delivery,
    st.integers(1, 5),
    revision=st.none() | st.integers(1, 6),
    key=st.sampled_from([b"k", b"a.b", b"\xff"]),
    sender=st.sampled_from([SENDER] * 9 + [b"$JS.ACK.KV_x.c.1."]),
)
in_order = st.integers(1, 5).map(lambda count: [delivery(1 + number) for number in range(count)])


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
