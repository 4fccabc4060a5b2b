"""The witness of what agents write, on a real broker: all that is stored, also in a bucket that is made again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from fleet.wire import Bucket, kv_subject
from harness.devices.tests.broker import Broker
from harness.errors import ServiceError
from harness.faults import streams
from harness.faults.buckets import honouring
from harness.history import KvEntry
from harness.observers import reports as reports_module
from harness.observers.reports import ReportObserver
from harness.services import nats_client

KEY = kv_subject(Bucket.DEVICE_STATE, "state.edge-1.web")

Start: TypeAlias = Callable[[], Awaitable[ReportObserver]]


@pytest.fixture
async def start(broker: Broker) -> AsyncIterator[Start]:
    """Starts a witness; none outlives the test, also one that fails."""
    async with AsyncExitStack() as stack:

        async def one() -> ReportObserver:
            observer = await ReportObserver.start(broker.server.url, broker.recorder)
            stack.push_async_callback(observer.close)
            return observer

        yield one


def seen(broker: Broker) -> list[tuple[str, str, str, int, int]]:
    entries = broker.recorder.history().of(KvEntry)
    return [(e.key, e.operation, e.value, e.revision, e.previous) for e in entries]


async def test_puts_and_deletes_are_seen(broker: Broker, start: Start) -> None:
    """From before the witness came and after, of a bucket that was there and of one that was not yet."""
    js = broker.js
    await streams.make(js, honouring(Bucket.DEVICE_STATE))
    await js.publish(KEY, b"one")
    observer = await start()
    await observer.drain()
    await js.publish(KEY, b"two")
    # Of two within the same instant it may see the second alone.
    await observer.drain()
    await js.publish(KEY, b"", headers={"KV-Operation": "DEL"})
    await streams.make(js, honouring(Bucket.DEVICE_HEARTBEAT))
    await js.publish(kv_subject(Bucket.DEVICE_HEARTBEAT, "heartbeat.edge-1"), b"beat")
    await observer.drain()
    assert sorted(seen(broker)) == [
        ("heartbeat.edge-1", "put", "beat", 1, 0),
        ("state.edge-1.web", "delete", "", 3, 2),
        ("state.edge-1.web", "put", "one", 1, 0),
        ("state.edge-1.web", "put", "two", 2, 1),
    ]
    assert all(entry.stored_s and entry.stored_s <= entry.at_s for entry in broker.recorder.history().of(KvEntry))
    await observer.close()
    await observer.close()


async def test_a_bucket_that_is_made_again(broker: Broker, start: Start) -> None:
    """Its revisions begin anew, and are not taken for those of the one before."""
    js = broker.js
    await streams.make(js, honouring(Bucket.DEVICE_STATE))
    observer = await start()
    await js.publish(KEY, b"one")
    await observer.drain()
    await streams.delete(js, Bucket.DEVICE_STATE)
    await streams.make(js, honouring(Bucket.DEVICE_STATE))
    await js.publish(KEY, b"two")
    await observer.drain()
    assert [(value, revision, previous) for _, _, value, revision, previous in seen(broker)] == [
        ("one", 1, 0),
        ("two", 1, 0),
    ]


async def test_a_server_that_was_killed(broker: Broker, start: Start) -> None:
    """Nothing is told twice, and what was stored afterwards is seen."""
    js = broker.js
    await streams.make(js, honouring(Bucket.DEVICE_STATE))
    observer = await start()
    await js.publish(KEY, b"one")
    await observer.drain()
    await broker.server.kill()
    await broker.server.restart()
    await js.publish(KEY, b"two")
    await observer.drain()
    assert [value for _, _, value, _, _ in seen(broker)] == ["one", "two"]


async def test_what_was_purged_is_not_waited_for_long(
    broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there before the witness, and is gone."""
    monkeypatch.setattr(reports_module, "SEEN_WITHIN_S", 0.1)
    js = broker.js
    await streams.make(js, honouring(Bucket.DEVICE_STATE))
    other = kv_subject(Bucket.DEVICE_STATE, "state.edge-1.other")
    await js.publish(KEY, b"one")
    await js.publish(other, b"two")
    await streams.purge(js, Bucket.DEVICE_STATE, "state.edge-1.other")
    observer = await start()
    async with asyncio.timeout(5):
        await observer.drain()
        await observer.drain()
    assert [value for _, _, value, _, _ in seen(broker)] == ["one"]


async def test_no_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear line."""
    monkeypatch.setattr(nats_client, "CONNECT_WITHIN_S", 0.5)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="the witness of reports: no broker at"):
        await ReportObserver.start(broker.server.url, broker.recorder)
