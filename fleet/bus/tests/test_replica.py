"""A replica on a real server: complete replays, a `current` that is revoked, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.client import JetStreamContext

from fleet import backoff
from fleet.bus import buckets, replica
from fleet.bus.replica import Entry, KvReplica
from fleet.bus.tests.conftest import DEADLINE_S, Life, Server
from fleet.bus.tests.sink import BUCKET, STREAM, Sink, delivery
from fleet.errors import PeerAway
from fleet.wire import kv_subject


@pytest.fixture(autouse=True)
async def bucket(js: JetStreamContext) -> None:
    await buckets.ensure(js, BUCKET)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry in milliseconds and take a silence of under a second for trouble."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 0.001)
    monkeypatch.setattr(backoff, "_DELAY_S_MAX", 0.02)
    monkeypatch.setattr(replica, "REQUEST_TIMEOUT_S", 1.0)
    monkeypatch.setattr(replica, "_HEARTBEAT_S", 0.2)
    monkeypatch.setattr(replica, "_SILENCE_S_MAX", 0.7)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@asynccontextmanager
async def running(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> AsyncIterator[KvReplica]:
    followed = KvReplica(client, js, BUCKET, sink)
    life.on_lost.append(followed.disconnected)
    task = asyncio.create_task(followed.run())
    try:
        yield followed
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
async def following(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> AsyncIterator[KvReplica]:
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        yield followed


async def fill(js: JetStreamContext, keys: list[str], size_bytes: int = 1) -> None:
    await asyncio.gather(*(js.publish(kv_subject(BUCKET, key), b"x" * size_bytes, timeout=5) for key in keys))


async def consumers(js: JetStreamContext) -> int:
    return len(await js.consumers_info(STREAM))


async def only_consumer(js: JetStreamContext) -> ConsumerInfo:
    (consumer,) = await js.consumers_info(STREAM)
    return consumer


async def test_an_empty_bucket_is_current_at_once(following: KvReplica, sink: Sink) -> None:
    """Nothing to replay: no entry, no waiting for a heartbeat."""
    assert following is not None
    assert sink.log == ["replay_started", "replayed"]
    assert sink.expected == 0
    assert sink.entries == []


async def test_a_replay_brings_the_latest_of_every_key(
    client: Client, js: JetStreamContext, life: Life, sink: Sink
) -> None:
    """Of each key its last value, or a marker if that was a delete; all of them before `replayed`."""
    keys = [f"k{i}" for i in range(200)]
    await fill(js, keys)
    ack = await js.publish(kv_subject(BUCKET, "k0"), b"newer")
    await js.publish(kv_subject(BUCKET, "k1"), b"", headers={"KV-Operation": "DEL"})
    await js.publish(kv_subject(BUCKET, "k2"), b"", headers={"KV-Operation": "PURGE", "Nats-Rollup": "sub"})
    at_replayed: list[int] = []
    note = sink.replayed

    def replayed() -> None:
        at_replayed.append(len(sink.entries))
        note()

    sink.replayed = replayed  # type: ignore[method-assign] # looks at the moment itself
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
    assert at_replayed == [200]
    assert sink.expected == 200
    assert sink.values == dict.fromkeys(keys, b"x") | {"k0": b"newer", "k1": None, "k2": None}
    assert Entry("k0", ack.seq, b"newer") in sink.entries


async def test_changes_arrive_while_it_is_current(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """After the replay every put and delete comes, with its revision; nothing is replayed again."""
    assert following is not None
    put = await js.publish(kv_subject(BUCKET, "k"), b"1")
    marker = await js.publish(kv_subject(BUCKET, "k"), b"", headers={"KV-Operation": "DEL"})
    await sink.until(lambda: len(sink.entries) == 2)
    assert sink.entries == [Entry("k", put.seq, b"1"), Entry("k", marker.seq, None)]
    assert sink.log == ["replay_started", "replayed"]


async def test_a_replay_of_fewer_than_promised_ends(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its tail purged meanwhile a replay never sees "0 pending": the consumer's info ends it."""
    true = replica._delivery

    def promising(reply: str) -> tuple[int, int, int]:
        revision, sequence, pending = true(reply)
        return revision, sequence, pending + 2

    monkeypatch.setattr(replica, "_delivery", promising)
    await fill(js, ["a", "b", "c"])
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
    assert set(sink.values) == {"a", "b", "c"}
    assert not sink.losses


async def test_a_purged_tail_is_no_obstacle(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> None:
    """Keys that were purged without a marker before the replay are neither delivered nor waited for."""
    await fill(js, [f"k{i}" for i in range(10)])
    for key in ("k8", "k9"):
        await js.purge_stream(STREAM, subject=kv_subject(BUCKET, key))
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
    assert len(sink.values) == 8


async def test_a_gap_is_noticed_and_replayed(
    following: KvReplica, sink: Sink, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivery that skips a number means that one was missed: `lost`, then a replay in full."""
    assert following is not None
    true = replica._delivery
    skipped: list[str] = []

    def skip_once(reply: str) -> tuple[int, int, int]:
        revision, sequence, pending = true(reply)
        if skipped:
            return revision, sequence, pending
        skipped.append(reply)
        return revision, sequence + 1, pending

    monkeypatch.setattr(replica, "_delivery", skip_once)
    await fill(js, ["a"])
    await sink.until(lambda: sink.replays == 2)
    assert sink.losses == ["lost: bucket device-state: delivery 2 came after 0"]
    assert [entry.key for entry in sink.entries] == ["a"]


async def test_a_message_that_no_consumer_sent_is_noticed(
    following: KvReplica, sink: Sink, client: Client, js: JetStreamContext
) -> None:
    """Garbage on the inbox is a reason to replay, not to crash."""
    assert following is not None
    inbox = (await only_consumer(js)).config.deliver_subject
    assert inbox is not None
    await client.publish(inbox, b"x", reply="what.is.this")
    await sink.until(lambda: sink.replays == 2)
    assert "a message that no consumer sent" in sink.losses[0]


async def test_a_server_that_restarts_is_replayed_in_full(
    following: KvReplica, sink: Sink, server: Server, js: JetStreamContext
) -> None:
    """Killed and started again: `lost` first, then everything once more, then current."""
    assert following is not None
    await fill(js, ["a", "b"])
    await sink.until(lambda: len(sink.values) == 2)
    await server.restart()
    await sink.until(lambda: sink.replays == 2)
    assert sink.log.index(sink.losses[0]) < len(sink.log) - 1
    assert sink.log[-1] == "replayed"
    assert [entry.key for entry in sink.entries] == ["a", "b"] * 2


async def test_a_server_that_dies_in_the_middle_of_a_replay(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, server: Server
) -> None:
    """A replay that broke off is not current; the next one is complete."""
    keys = [f"k{i}" for i in range(400)]
    await fill(js, keys, size_bytes=8192)
    reached = asyncio.Event()

    def at_ten(_: Entry) -> None:
        if len(sink.entries) == 10:
            assert server._process is not None
            server._process.kill()
            reached.set()

    sink.on_entry = at_ten
    async with running(client, js, life, sink):
        async with asyncio.timeout(DEADLINE_S):
            await reached.wait()
        await sink.until(lambda: bool(sink.losses))
        await server.restart()
        await sink.until(lambda: sink.log[-1] == "replayed")
    assert set(sink.values) == set(keys)
    assert len(sink.entries) >= len(keys) + 10


async def test_a_deleted_bucket_is_not_current_for_long(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """Deleted under a healthy connection: heartbeats stop, `lost`, and it says that the stream is not there."""
    assert following is not None
    await fill(js, ["a"])
    await sink.until(lambda: len(sink.entries) == 1)
    await js.delete_stream(STREAM)
    await sink.until(lambda: any("not found" in line for line in sink.losses))
    assert sink.losses[0] == "lost: bucket device-state: silent for 0.7 s"
    assert sink.replays == 1


async def test_keys_that_vanished_without_a_marker_are_reported(
    following: KvReplica, sink: Sink, js: JetStreamContext
) -> None:
    """After a bucket was deleted and made again, what it no longer holds is told as gone, at revision 0."""
    assert following is not None
    await fill(js, ["a", "b"])
    await sink.until(lambda: len(sink.entries) == 2)
    await js.delete_stream(STREAM)
    await buckets.ensure(js, BUCKET)
    await fill(js, ["b"])
    await sink.until(lambda: sink.replays == 2)
    assert sink.values == {"a": None, "b": b"x"}
    assert sink.entries[-1] == Entry("a", 0, None)


async def test_a_crash_in_the_sink_ends_the_run(client: Client, js: JetStreamContext, sink: Sink) -> None:
    """An exception that nobody expects is raised, and not only reported by the client library."""

    def crash(_: Entry) -> None:
        raise ZeroDivisionError("folded wrong")

    sink.on_entry = crash
    await fill(js, ["a"])
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(DEADLINE_S):
            await KvReplica(client, js, BUCKET, sink).run()
    assert await consumers(js) == 0


async def test_reconnections_leave_no_consumer_behind(
    following: KvReplica, sink: Sink, client: Client, js: JetStreamContext, life: Life
) -> None:
    """After twenty reconnections the stream has the one consumer that it had before."""
    assert following is not None

    def done(number: int) -> bool:
        return life.losses == number + 1 and sink.replays == number + 2

    before = await consumers(js)
    for number in range(20):
        await client.force_reconnect()
        await sink.until(partial(done, number))
    assert await consumers(js) == before == 1


async def test_it_leaves_no_consumer_when_it_ends(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> None:
    """Cancelled in good order it deletes its consumer at once."""
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
        assert await consumers(js) == 1
    assert await consumers(js) == 0


async def test_a_cancellation_together_with_an_answer_is_not_swallowed(
    client: Client, js: JetStreamContext, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told to end in the very moment in which the server answers, it ends."""
    make = js.add_consumer

    async def answer_and_cancel(stream: str, config: ConsumerConfig, **_: float) -> ConsumerInfo:
        info = await make(stream, config=config)
        task.cancel()
        # What asyncio.wait_for does up to Python 3.11 when its future is done as well.
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return info

    monkeypatch.setattr(js, "add_consumer", answer_and_cancel)
    task = asyncio.create_task(KvReplica(client, js, BUCKET, sink).run())
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done, "it goes on for ever"
    assert await consumers(js) == 0


async def test_a_loss_while_the_consumer_is_made_is_not_forgotten(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is lost between request and answer revokes at once, before any silence is noticed."""
    monkeypatch.setattr(replica, "_SILENCE_S_MAX", 60)
    make = js.add_consumer
    calls = 0

    async def lose_once(stream: str, config: ConsumerConfig, **_: float) -> ConsumerInfo:
        nonlocal calls
        calls += 1
        info = await make(stream, config=config)
        if calls == 1:
            followed.disconnected()
        return info

    monkeypatch.setattr(js, "add_consumer", lose_once)
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
    assert sink.log == ["replay_started", "lost: bucket device-state: connection lost", "replay_started", "replayed"]


async def test_without_a_connection_it_asks_nothing(client: Client, js: JetStreamContext, sink: Sink) -> None:
    """While the client reconnects, no request is made that could only fail."""
    await client.close()
    task = asyncio.create_task(KvReplica(client, js, BUCKET, sink).run())
    await sink.until(lambda: len(sink.losses) == 3)
    task.cancel()
    assert sink.log == ["lost: bucket device-state: NATS is not connected"] * 3


async def test_a_session_that_was_left_hears_nothing(following: KvReplica, sink: Sink, client: Client) -> None:
    """Once `lost` was said, a delivery of the consumer before cannot slip into the next replay."""
    left = following._session
    assert left is not None
    await left.received(Msg(_client=client, reply="", headers={"Status": "100", "Nats-Last-Consumer": "0"}))
    left.crash = PeerAway("ended by something else than `fail`")
    left.heard.set()
    await sink.until(lambda: bool(sink.losses))
    left.crash = None
    await left.received(delivery(client, 1))
    assert sink.entries == []
