"""A replica on a real server: complete replays, a `current` that is revoked, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.client import JetStreamContext

from fleet.bus import replica
from fleet.bus.entry import Entry
from fleet.bus.replica import KvReplica
from fleet.bus.tap import TappedClient
from fleet.bus.tests.following import consumers, fill, running
from fleet.bus.tests.servers import DEADLINE_S, Life, Server
from fleet.bus.tests.sink import BUCKET, STREAM, Sink, brief
from fleet.wire import kv_subject

pytestmark = pytest.mark.usefixtures("bucket", "in_a_hurry")


@pytest.fixture
async def following(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> AsyncIterator[KvReplica]:
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        yield followed


async def only_consumer(js: JetStreamContext) -> ConsumerInfo:
    (consumer,) = await js.consumers_info(STREAM)
    return consumer


async def test_an_empty_bucket_is_current_at_once(following: KvReplica, sink: Sink) -> None:
    """Nothing to replay: no entry, no waiting for a heartbeat."""
    assert following is not None
    assert sink.log == ["replay_started", "replayed"]
    assert sink.expected == 0
    assert sink.told == []


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
        at_replayed.append(len(sink.told))
        note()

    sink.replayed = replayed  # type: ignore[method-assign] # looks at the moment itself
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
    assert at_replayed == [200]
    assert sink.expected == 200
    assert sink.values == dict.fromkeys(keys, b"x") | {"k0": b"newer", "k1": None, "k2": None}
    assert ("k0", ack.seq, b"newer") in [brief(entry) for entry in sink.told]


async def test_changes_arrive_while_it_is_current(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """After the replay every put and delete comes, with its revision; nothing is replayed again."""
    assert following is not None
    put = await js.publish(kv_subject(BUCKET, "k"), b"1")
    # A stream keeps one message of a key: the next one may push this one out before it was delivered.
    await sink.until(lambda: len(sink.told) == 1)
    marker = await js.publish(kv_subject(BUCKET, "k"), b"", headers={"KV-Operation": "DEL"})
    await sink.until(lambda: len(sink.told) == 2)
    assert [brief(entry) for entry in sink.told] == [("k", put.seq, b"1"), ("k", marker.seq, None)]
    assert sink.log == ["replay_started", "replayed"]


async def test_a_purged_tail_is_no_obstacle(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> None:
    """Keys that were purged without a marker before the replay are neither delivered nor waited for."""
    await fill(js, [f"k{i}" for i in range(10)])
    for key in ("k8", "k9"):
        await js.purge_stream(STREAM, subject=kv_subject(BUCKET, key))
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
    assert len(sink.values) == 8


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
    assert [entry.key for entry in sink.told] == ["a", "b"] * 2


async def test_a_server_that_dies_in_the_middle_of_a_replay(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, server: Server
) -> None:
    """A replay that broke off is not current; the next one is complete."""
    keys = [f"k{i}" for i in range(400)]
    await fill(js, keys, size_bytes=8192)
    reached = asyncio.Event()

    def at_ten(_: Entry) -> None:
        if len(sink.told) == 10:
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
    assert len(sink.told) >= len(keys) + 10


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


async def test_it_leaves_nothing_when_it_ends(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> None:
    """Cancelled in good order it deletes its consumer at once, and the client keeps nothing of it."""
    await consumers(js)
    before = set(client._subs)
    async with running(client, js, life, sink):
        await sink.until(lambda: sink.replays == 1)
        assert await consumers(js) == 1
    assert await consumers(js) == 0
    assert isinstance(client, TappedClient)
    assert set(client._subs) == before
    assert client._taps == {}


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
    monkeypatch.setattr(replica, "_SILENCE_TURN_S", 60)
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
