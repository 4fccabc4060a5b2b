"""What counts as a silence of the server: a connection that is dead, and not one that is busy or stood still."""

import asyncio
import signal
import time

import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerInfo
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.bus import replica
from fleet.bus.replica import KvReplica
from fleet.bus.session import Session
from fleet.bus.tests.following import running
from fleet.bus.tests.servers import Life, Server
from fleet.bus.tests.sink import BUCKET, STREAM, Sink
from fleet.wire import kv_subject

pytestmark = pytest.mark.usefixtures("bucket", "in_a_hurry")


async def test_a_server_that_says_nothing_is_noticed(
    following: KvReplica, sink: Sink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stays up and nothing comes any more: three heartbeats are missed, and it is lost."""
    assert following is not None
    monkeypatch.setattr(replica, "_CHECK_S", 60)
    assert server._process is not None
    server._process.send_signal(signal.SIGSTOP)
    try:
        await sink.until(lambda: bool(sink.losses))
        assert sink.losses == ["lost: bucket device-state: silent for 0.72 s"]
    finally:
        server._process.send_signal(signal.SIGCONT)
    await sink.until(lambda: sink.replays == 2)


async def test_a_busy_connection_that_dies_is_noticed_as_soon(
    following: KvReplica, sink: Sink, server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other messages came after our last heartbeat, then nothing at all: no ping is waited for."""
    session = following._session
    assert session is not None
    monkeypatch.setattr(replica, "_CHECK_S", 60)
    assert server._process is not None
    server._process.send_signal(signal.SIGSTOP)
    try:
        await server.stopped()
        client.stats["in_msgs"] += 1
        async with asyncio.timeout(1.5):
            await sink.until(lambda: bool(sink.losses))
    finally:
        server._process.send_signal(signal.SIGCONT)


async def test_a_consumer_that_somebody_deleted_is_noticed(
    following: KvReplica, sink: Sink, client: Client, js: JetStreamContext
) -> None:
    """The connection is busy with other things: its own heartbeats are missed, and a ping proves that none waits."""
    assert following is not None
    (consumer,) = await js.consumers_info(STREAM)
    await js.delete_consumer(STREAM, consumer.name)
    await client.subscribe("other")
    await sink.until(lambda: bool(sink.losses))
    assert sink.losses == ["lost: bucket device-state: silent for 0.72 s"]
    await sink.until(lambda: sink.replays == 2)


async def test_a_farewell_that_comes_late_takes_no_later_consumer(
    following: KvReplica, sink: Sink, js: JetStreamContext
) -> None:
    """A request to delete that a dead link held back comes through when the link does: the next session lives on."""
    session = following._session
    assert session is not None
    (old,) = await js.consumers_info(STREAM)
    session.fail("the link is dead")
    await sink.until(lambda: sink.replays == 2)
    with pytest.raises(NotFoundError):
        await js.delete_consumer(STREAM, old.name)
    (new,) = await js.consumers_info(STREAM)
    assert new.name != old.name


async def test_standing_still_is_no_silence(following: KvReplica, sink: Sink) -> None:
    """A process that stood still for many heartbeats has not missed them: it has yet to read them."""
    time.sleep(1.5)  # noqa: ASYNC251 - the whole loop stands still
    await following.caught_up(5)
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(100)))
    assert sink.losses == []


async def test_messages_that_are_promised_and_do_not_come(
    following: KvReplica, sink: Sink, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer that says it has more and sends nothing is not waited for for ever."""
    assert following is not None
    monkeypatch.setattr(replica, "_PROOF_S_MAX", 0.2)
    ask = js.consumer_info

    async def promise(stream: str, consumer: str, timeout: float | None = None) -> ConsumerInfo:  # noqa: ASYNC109 - theirs
        info: ConsumerInfo = await ask(stream, consumer, timeout)
        info.num_pending = 1
        return info

    monkeypatch.setattr(js, "consumer_info", promise)
    await js.purge_stream(STREAM, seq=None, subject=kv_subject(BUCKET, "b"))
    monkeypatch.setattr(following._session, "position", 0)
    await sink.until(lambda: bool(sink.losses))
    assert sink.losses == ["lost: bucket device-state: 1 messages are promised and do not come"]


async def test_a_task_that_is_cancelled_from_inside_is_a_loss(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever ends a session, the sink is told before the next one begins."""
    calls = 0

    async def cancelled(self: Session) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise asyncio.CancelledError
        await pump(self)

    pump = Session.pump
    monkeypatch.setattr(Session, "pump", cancelled)
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
    assert sink.losses == ["lost: bucket device-state: followed no more"]


async def test_heartbeats_that_wait_behind_other_messages_are_no_silence(
    following: KvReplica, sink: Sink, client: Client, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes before the answer to the ping was under way all the time."""
    session = following._session
    assert session is not None
    pinged = asyncio.Event()

    async def answer_late(timeout: float) -> float:  # noqa: ASYNC109 - the library's name
        if session.heard > heard:
            pinged.set()
        last = b"Nats-Last-Consumer: %d" % session.delivered
        session.take([(b"inbox", b"", b"", b"NATS/1.0 100 Idle Heartbeat\r\n" + last + b"\r\n\r\n")])
        return timeout

    monkeypatch.setattr(client, "rtt", answer_late)
    (consumer,) = await js.consumers_info(STREAM)
    await js.delete_consumer(STREAM, consumer.name)
    heard = session.heard
    async with asyncio.timeout(10):
        await pinged.wait()
    assert sink.losses == []


async def test_a_suspended_machine_is_no_silence(following: KvReplica, sink: Sink, server: Server) -> None:
    """Server and operator stood still together: the time that passed proves nothing."""
    assert server._process is not None
    server._process.send_signal(signal.SIGSTOP)
    time.sleep(1.5)  # noqa: ASYNC251 - the whole loop stands still
    for _ in range(20):
        await asyncio.sleep(0)
    server._process.send_signal(signal.SIGCONT)
    await following.caught_up(5)
    assert sink.losses == []
