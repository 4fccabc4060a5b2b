"""Nothing is left on the server after many reconnections, and nothing is lost when messages pile up."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.client import JetStreamContext

from fleet.bus import buckets, replica
from fleet.bus.entry import Entry
from fleet.bus.replica import KvReplica
from fleet.bus.tests.following import consumers, fill, running
from fleet.bus.tests.servers import DEADLINE_S, Life, Server
from fleet.bus.tests.sink import BUCKET, Sink
from fleet.wire import Bucket, kv_subject, stream_name

pytestmark = pytest.mark.usefixtures("in_a_hurry")

RECONNECTS = 50
MESSAGES = 100_000


@pytest.fixture(autouse=True)
async def bucket(js: JetStreamContext) -> None:
    await buckets.ensure_all(js)


@pytest.fixture
async def onlooker(server: Server) -> AsyncIterator[JetStreamContext]:
    """Looks at the server over a connection of its own."""
    other = Client()
    await other.connect(server.url)
    yield other.jetstream()
    await other.close()


def cut(client: Client) -> None:
    """Take the socket away, as a dying network does."""
    client._transport._io_writer.transport.abort()  # type: ignore[union-attr] # it is connected


async def test_fifty_reconnections_leave_no_consumer_behind(
    client: Client, js: JetStreamContext, life: Life, onlooker: JetStreamContext
) -> None:
    """On every stream there are as many consumers as before: one for each replica."""
    sinks = {one: Sink() for one in Bucket}
    for one in Bucket:
        await js.publish(kv_subject(one, "k"), b"x")

    async def counted() -> dict[Bucket, int]:
        return {one: len(await onlooker.consumers_info(stream_name(one))) for one in Bucket}

    async with AsyncExitStack() as stack:
        for one, sink in sinks.items():
            await stack.enter_async_context(running(client, js, life, sink, bucket=one))
        for sink in sinks.values():
            await sink.until(lambda sink=sink: sink.replays == 1)  # type: ignore[misc] # bound now
        before = await counted()
        for number in range(RECONNECTS):
            cut(client)
            for sink in sinks.values():
                await sink.until(lambda sink=sink, number=number: sink.replays >= number + 2)  # type: ignore[misc] # ditto
        assert life.losses == RECONNECTS
        assert not [line for sink in sinks.values() for line in sink.losses if "deliver" in line]
        assert await counted() == before == dict.fromkeys(Bucket, 1)
    assert await counted() == dict.fromkeys(Bucket, 0)


@pytest.mark.parametrize("late", [False, True])
async def test_a_consumer_whose_making_was_not_answered(
    client: Client,
    js: JetStreamContext,
    life: Life,
    sink: Sink,
    monkeypatch: pytest.MonkeyPatch,
    *,
    late: bool,
) -> None:
    """The answer is lost; the consumer was made all the same, perhaps only after we asked for the next.

    That one nobody listens to, and the server lets it go by itself.
    """
    monkeypatch.setattr(replica, "_INACTIVE_THRESHOLD_S", 0.5)
    make = js.add_consumer
    first: list[asyncio.Task[object]] = []
    calls = 0

    async def lose_answer(stream: str, config: ConsumerConfig, **options: float) -> ConsumerInfo:
        nonlocal calls
        calls += 1
        if calls == 1 and not late:
            await make(stream, config=config)
        if calls == 1:
            first.append(asyncio.create_task(later(stream, config)))
            raise NatsTimeoutError
        return await make(stream, config=config, **options)

    async def later(stream: str, config: ConsumerConfig) -> object:
        await sink.until(lambda: sink.replays == 1)
        if not late:
            return None
        try:
            return await make(stream, config=config)
        except Exception as e:  # noqa: BLE001 - whatever the server says
            return e

    monkeypatch.setattr(js, "add_consumer", lose_answer)
    await fill(js, ["a"])
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        async with asyncio.timeout(DEADLINE_S):
            await first[0]
        await fill(js, ["b"])
        await sink.until(lambda: "b" in sink.values and sink.log[-1] == "replayed")
        await followed.caught_up(DEADLINE_S)
        async with asyncio.timeout(DEADLINE_S):
            while await consumers(js) != 1:
                """Asking takes its time."""
        assert sink.replays == 1
    assert await consumers(js) == 0


async def publish_many(server: Server, number: int) -> None:
    """Over a connection of its own, without waiting for acknowledgements; returns when all are stored."""
    other = Client()
    await other.connect(server.url)
    js = other.jetstream()
    for start in range(0, number, 5000):
        for key in range(start, start + 5000):
            await other.publish(kv_subject(BUCKET, f"k{key}"), b"x")
        await fill(js, [f"k{start}"])
    await other.close()


async def test_a_hundred_thousand_messages_wait_for_a_slow_sink(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, server: Server
) -> None:
    """Far more than a client library's queue holds: none is dropped, in a replay and while it is current."""

    def slow(entry: Entry) -> None:
        if entry.revision % 20_000 == 0:
            time.sleep(0.3)  # the whole loop stands still

    sink.on_entry = slow
    await publish_many(server, MESSAGES)
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1, 60)
        assert len(sink.values) == MESSAGES
        await publish_many(server, MESSAGES)
        await followed.caught_up(60)
        assert len({entry.revision for entry in sink.told}) >= 2 * MESSAGES
    assert sink.losses == []
    assert life.errors == []


async def test_without_the_tap_it_is_the_same(server: Server, life: Life, sink: Sink) -> None:
    """A client of the library's own, whose private method may be another: slower, and as correct."""
    plain = Client()
    await plain.connect(server.url)
    js = plain.jetstream()
    await fill(js, [f"k{number}" for number in range(2000)])
    await js.publish(kv_subject(BUCKET, "k0"), b"", headers={"KV-Operation": "DEL"})
    async with running(plain, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        assert len(sink.values) == 2000
        assert sink.values["k0"] is None
        await fill(js, ["new"])
        await followed.caught_up(DEADLINE_S)
        assert sink.values["new"] == b"x"
        assert isinstance(followed, KvReplica)
    assert sink.losses == []
    await plain.close()
