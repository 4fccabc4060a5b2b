"""One consumer's life inside a replica: what each message means, and what is no message of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fleet.bus import session as session_module
from fleet.bus.entry import Entry
from fleet.bus.session import Session
from fleet.bus.tests.servers import DEADLINE_S
from fleet.bus.tests.sink import BUCKET, STREAM, Sink
from fleet.wire import kv_subject

ACK = f"$JS.ACK.{STREAM}.c.1".encode()
AT_NS = 1_700_000_000_500_000_000
HEARTBEAT = b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: %d\r\nNats-Last-Stream: 9\r\n\r\n"


@pytest.fixture
async def session(client: Client, sink: Sink) -> Session:
    return Session(client, BUCKET, "c", sink)


def deliver(
    session: Session,
    sequence: int,
    *,
    key: bytes = b"k",
    value: bytes = b"x",
    headers: bytes | None = None,
    pending: int = 0,
    revision: int | None = None,
) -> None:
    reply = b"%s.%d.%d.%d.%d" % (ACK, revision or 100 + sequence, sequence, AT_NS, pending)
    session.take([(kv_subject(BUCKET, "").encode() + key, reply, value, headers)])


@asynccontextmanager
async def pumping(session: Session) -> AsyncIterator[None]:
    task = asyncio.create_task(session.pump())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def pump(session: Session) -> None:
    """Until nothing waits any more."""
    async with pumping(session):
        for _ in range(20 + len(session._queue)):
            await asyncio.sleep(0)
    assert not session._queue


def failure(session: Session) -> str:
    assert session.over
    return str(session.failed.exception())


async def test_a_delivery_is_an_entry(session: Session, sink: Sink) -> None:
    """Key, revision, value and the broker's time in seconds; the count of what is to come is told once."""
    deliver(session, 1, pending=1)
    deliver(session, 2, key=b"a.b", value=b"")
    await pump(session)
    assert sink.told == [Entry("k", 101, b"x", 1_700_000_000.5), Entry("a.b", 102, b"", 1_700_000_000.5)]
    assert sink.expected == 2
    assert (session.delivered, session.position, session.candidate) == (2, 102, True)


@pytest.mark.parametrize(
    ("headers", "deleted"),
    [
        (b"NATS/1.0\r\nKV-Operation: DEL\r\n\r\n", True),
        (b"NATS/1.0\r\nNats-Rollup: sub\r\nKV-Operation:PURGE\r\n\r\n", True),
        (b"NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\n\r\n", True),
        (b"NATS/1.0\r\nKV-Operation: PUT\r\n\r\n", False),
        (b"NATS/1.0\r\nX: KV-Operation: DEL\r\n\r\n", False),
        (b"NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 5\r\n\r\n", False),
        (b"NATS/1.0 503 No Responders\r\n\r\n", False),
    ],
)
async def test_what_a_delete_marker_is(session: Session, sink: Sink, headers: bytes, *, deleted: bool) -> None:
    """A header says so, by its name and not by its text; a device cannot pass a delivery off as a status."""
    deliver(session, 1, headers=headers)
    await pump(session)
    assert [entry.value for entry in sink.told] == [None if deleted else b"x"]
    assert not session.over


async def test_a_subject_that_is_no_text_is_a_key_of_its_own(session: Session, sink: Sink) -> None:
    """Any bytes make a subject: the connection survives them, and two such keys stay two."""
    deliver(session, 1, key=b"\xff")
    deliver(session, 2, key=b"\xfe")
    await pump(session)
    assert [entry.key for entry in sink.told] == ["\udcff", "\udcfe"]
    assert len(session.keys) == 2


@pytest.mark.parametrize(
    ("sequence", "revision", "reason"),
    [
        (3, 200, "delivery 3 (revision 200) came after 1 (101)"),
        (2, 101, "delivery 2 (revision 101) came after 1 (101)"),
    ],
)
async def test_a_gap_is_noticed(session: Session, sink: Sink, sequence: int, revision: int, reason: str) -> None:
    """A delivery that skips a number was preceded by one that is lost; a revision never goes back."""
    deliver(session, 1)
    deliver(session, sequence, revision=revision)
    deliver(session, sequence + 1, revision=300)
    await pump(session)
    assert sink.losses == [f"lost: bucket device-state: {reason}"]
    assert len(sink.told) == 1


async def test_a_key_that_came_back_is_not_forgotten(session: Session, sink: Sink) -> None:
    """Known from before, missing in the replay, written again a moment later: it is there."""
    deliver(session, 1, key=b"back")
    await pump(session)
    session.forget("back")
    session.forget("gone")
    assert [(entry.key, entry.value) for entry in sink.told] == [("back", b"x"), ("gone", None)]


async def test_a_delivery_after_the_end_is_nobodys(session: Session, sink: Sink) -> None:
    """What arrives once a session has ended is not folded in: the next replay has it."""
    session.fail("left")
    session.fail("again")
    deliver(session, 1)
    session.promised(0)
    session.confirm()
    session.doubt("late")
    session.forget("k")
    await pump(session)
    assert sink.told == []
    assert sink.log == ["lost: left"]


async def test_a_status_of_the_server_is_trouble(session: Session) -> None:
    """A status that is no heartbeat, such as "consumer deleted", ends the session with the server's words."""
    session.take([(b"inbox", b"", b"", b"NATS/1.0 409 Consumer Deleted\r\n\r\n")])
    await pump(session)
    assert failure(session) == "bucket device-state: the server says 409 Consumer Deleted"


async def test_a_heartbeat_that_counts_more_than_we_saw_is_a_gap(session: Session) -> None:
    """The last message may be the one that was lost: the heartbeat after it tells."""
    deliver(session, 1)
    session.take([(b"inbox", b"", b"", HEARTBEAT % 2)])
    await pump(session)
    assert failure(session) == "bucket device-state: the server delivered 2, we saw 1"


async def test_a_heartbeat_may_end_a_replay(session: Session) -> None:
    """With its tail purged a replay never sees "0 pending": an idle consumer is a reason to look."""
    deliver(session, 1, pending=2)
    await pump(session)
    seen = [session.candidate]
    session.take([(b"inbox", b"", b"", HEARTBEAT % 1)])
    await pump(session)
    assert [*seen, session.candidate, session.over] == [False, True, False]


async def test_flow_control_is_answered(client: Client, session: Session) -> None:
    """A server that waits for us to catch up gets its answer, whichever way it asks."""
    asked = await client.subscribe("fc.*")
    session.take([(b"inbox", b"fc.request", b"", b"NATS/1.0 100 FlowControl Request\r\n\r\n")])
    session.take([(b"inbox", b"", b"", b"NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: fc.stalled\r\n\r\n")])
    await pump(session)
    assert [(await asked.next_msg(timeout=5)).subject for _ in range(2)] == ["fc.request", "fc.stalled"]
    assert not session.over
    assert not session.candidate


@pytest.mark.parametrize("random", ["", ".rnd"])
async def test_the_long_form_of_a_delivery_is_read(session: Session, sink: Sink, random: str) -> None:
    """With a JetStream domain the reply also names domain and account, perhaps with a random token at its end."""
    for sequence in (1, 2):
        reply = f"$JS.ACK.hub.ACCOUNT.{STREAM}.c.1.{2**64 - 5 + sequence}.{sequence}.{AT_NS}.{2 - sequence}{random}"
        session.take([(kv_subject(BUCKET, "k").encode(), reply.encode(), b"x", None)])
    await pump(session)
    assert [entry.revision for entry in sink.told] == [2**64 - 4, 2**64 - 3]
    assert session.candidate


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"a.b",
        b"$JS.ACK.KV_other.c.1.17.1.1.0",
        b"$JS.ACK.hub.ACC.KV_other.c.1.17.1.1.0",
        ACK + b".x.1.1.0",
        ACK + b".17.1.1",
    ],
)
async def test_another_reply_is_no_delivery(session: Session, sink: Sink, reply: bytes) -> None:
    """Whatever else somebody sends to our inbox is named, and a reason to replay."""
    session.take([(b"inbox", reply, b"x", None)])
    await pump(session)
    assert f"a message that no consumer sent: reply {reply.decode()!a}" in failure(session)
    assert sink.told == []


async def test_a_message_that_came_the_ordinary_way_is_the_same(client: Client, session: Session, sink: Sink) -> None:
    """Without the tap the client library's message is taken, headers and status included."""
    reply = f"{ACK.decode()}.7.1.{AT_NS}.0"
    headers = {"KV-Operation": "DEL"}
    await session.received(Msg(client, kv_subject(BUCKET, "k"), reply, b"", headers))
    beat = {"Status": "100", "Description": "Idle Heartbeat", "Nats-Last-Consumer": "1"}
    await session.received(Msg(client, "inbox", "", b"", beat))
    await session.received(Msg(client, "inbox", "", b"", {"Status": "409", "Description": "Consumer Deleted"}))
    await pump(session)
    assert sink.told == [Entry("k", 7, None, AT_NS / 1e9)]
    assert failure(session) == "bucket device-state: the server says 409 Consumer Deleted"


async def test_keys_are_counted_as_of_a_revision(session: Session) -> None:
    """Keys that are new since somebody began to count are left out if they came after the revision in question."""
    deliver(session, 1, key=b"a", revision=10)
    await pump(session)
    with session.counting() as keys_at:
        deliver(session, 2, key=b"b", revision=20)
        deliver(session, 3, key=b"a", revision=30)
        deliver(session, 4, key=b"c", revision=40)
        await pump(session)
        assert [keys_at(revision) for revision in (10, 20, 39, 40)] == [1, 2, 2, 3]
    assert session._new == []


async def test_a_slow_sink_does_not_hold_up_the_loop(
    session: Session, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each slice somebody else has a turn, however much waits."""
    now = 0.0

    def slow(_: Entry) -> None:
        nonlocal now
        now += 0.0005

    monkeypatch.setattr(session_module, "perf_counter", lambda: now)
    sink.on_entry = slow
    for sequence in range(1, 1001):
        deliver(session, sequence, key=b"%d" % sequence)
    turns: list[int] = []
    async with asyncio.timeout(DEADLINE_S), pumping(session):
        while len(sink.told) < 1000:
            turns.append(len(sink.told))
            await asyncio.sleep(0)
    assert max(after - before for before, after in pairwise(turns)) <= 64


async def test_what_the_sink_raises_ends_the_pump(session: Session, sink: Sink) -> None:
    """A crash in the fold is no trouble of the peer's, and it is not swallowed, be it a ValueError."""

    def crash(_: Entry) -> None:
        raise ValueError("folded wrong")

    sink.on_entry = crash
    deliver(session, 1)
    with pytest.raises(ValueError, match="folded wrong"):
        async with asyncio.timeout(DEADLINE_S):
            await session.pump()
