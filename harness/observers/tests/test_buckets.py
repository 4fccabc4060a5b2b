"""The witness of desired-state on a real broker: it sees all that was stored, and says when it did not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import nats
import pytest

from fleet.wire import Bucket, stream_name
from harness.checks.reference import witness_gap
from harness.devices.tests.broker import Broker, desired_by, pair_of
from harness.errors import ServiceError
from harness.history import KeysLost, KvEntry, StreamState
from harness.observers import buckets as buckets_module
from harness.observers.buckets import BucketObserver
from harness.services import nats_client
from harness.wait import wait_for

PAIR = pair_of("site.rack.one")
STREAM = stream_name(Bucket.DESIRED_STATE)
Start: TypeAlias = Callable[[], Awaitable[BucketObserver]]


@pytest.fixture
async def start(broker: Broker) -> AsyncIterator[Start]:
    """Starts a witness; none outlives the test, also one that fails."""
    async with AsyncExitStack() as stack:

        async def one() -> BucketObserver:
            observer = await BucketObserver.start(broker.server.url, broker.recorder)
            stack.push_async_callback(observer.close)
            return observer

        yield one


async def test_what_is_stored_is_seen_once_drained(broker: Broker, start: Start) -> None:
    """Puts and delete markers, with revisions and bytes, from before the bucket existed."""
    observer = await start()
    assert await observer.stream_state(Bucket.DESIRED_STATE) is None
    await observer.drain()
    await broker.make()
    revision = await broker.desire(PAIR)
    await broker.undesire(PAIR)
    await broker.undesire(PAIR, "PURGE")
    await observer.drain()
    entries = broker.recorder.history().of(KvEntry)
    assert [(e.operation, e.revision, e.previous) for e in entries] == [
        ("put", revision, 0),
        ("delete", revision + 1, revision),
        ("delete", revision + 2, revision + 1),
    ]
    assert (entries[0].key, entries[0].value.encode()) == ("site.rack.one.app", desired_by().encode())


async def test_a_burst_is_seen_whole(broker: Broker, start: Start) -> None:
    """On return from `drain` the last of many is there, and the counters agree."""
    await broker.make()
    observer = await start()
    await asyncio.gather(*(broker.desire(pair_of(f"d{number}")) for number in range(300)))
    await observer.drain()
    assert len(broker.recorder.history().of(KvEntry)) == 300
    await observer.stream_state(Bucket.DESIRED_STATE)
    assert witness_gap(broker.recorder.history()) is None


async def test_a_write_of_before_is_a_gap(broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cannot have seen is not waited for twice, and the check knows that something is missing."""
    monkeypatch.setattr(buckets_module, "SEEN_WITHIN_S", 0.1)
    await broker.make()
    await broker.desire(PAIR)
    observer = await start()
    await observer.drain()
    monkeypatch.setattr(buckets_module, "SEEN_WITHIN_S", 60)
    async with asyncio.timeout(1):
        await observer.drain()
    await observer.stream_state(Bucket.DESIRED_STATE)
    assert witness_gap(broker.recorder.history()) is not None


async def test_the_state_of_a_stream(broker: Broker, start: Start) -> None:
    """The settings that the contract asks for are in the history."""
    await broker.make()
    observer = await start()
    await broker.desire(PAIR)
    await observer.stream_state(Bucket.DESIRED_STATE)
    await observer.stream_state(Bucket.DEVICE_INFO)
    desired, info = broker.recorder.history().of(StreamState)
    assert (desired.history_per_key, desired.republished_to, desired.messages) == (1, "fleet.desired.>", 1)
    assert (info.republished_to, info.messages) == (None, 0)


async def test_no_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error within the deadline, and nothing left of the attempt."""
    monkeypatch.setattr(nats_client, "CONNECT_WITHIN_S", 0.3)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="no broker at"):
        await BucketObserver.start(broker.server.url, broker.recorder)


async def test_a_broker_that_goes_away(broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A witness that hears nothing any more says so; silence is no count."""
    monkeypatch.setattr(buckets_module, "ANSWER_WITHIN_S", 0.3)
    observer = await start()
    await broker.server.kill()
    with pytest.raises(ServiceError, match="does not answer its witness"):
        await observer.drain()


async def test_keys_that_vanish_without_a_marker(broker: Broker, start: Start) -> None:
    """They are found out when the broker is asked next: purged ones, and all of a bucket that was deleted."""
    await broker.make()
    observer = await start()
    for device in ("a", "b", "c"):
        await broker.desire(pair_of(device))
    await observer.drain()
    await broker.js.purge_stream(STREAM, subject="$KV.desired-state.b.app")
    for _ in range(2):
        await observer.stream_state(Bucket.DESIRED_STATE)
    assert witness_gap(broker.recorder.history()) is None
    await broker.js.delete_stream(STREAM)
    await observer.stream_state(Bucket.DESIRED_STATE)
    assert [lost.keys for lost in broker.recorder.history().of(KeysLost)] == [("b.app",), ("a.app", "c.app")]


async def test_a_bucket_that_is_made_again_with_lower_revisions(broker: Broker, start: Start) -> None:
    """What it holds then is waited for, whatever revisions the first one had come to."""
    await broker.make()
    observer = await start()
    for device in ("a", "b", "c"):
        await broker.desire(pair_of(device))
    await observer.drain()
    await broker.js.delete_stream(STREAM)
    await broker.make([Bucket.DESIRED_STATE])
    await asyncio.gather(*(broker.desire(pair_of(device)) for device in ("a", "b")))
    await observer.drain()
    await observer.stream_state(Bucket.DESIRED_STATE)
    history = broker.recorder.history()
    assert [lost.keys for lost in history.of(KeysLost)] == [("c.app",)]
    assert [entry.key for entry in history.of(KvEntry)] == ["a.app", "b.app", "c.app", "a.app", "b.app"]
    assert witness_gap(history) is None


@pytest.mark.parametrize("hears_the_second", [False, True])
async def test_what_was_stored_before_it_was_back(
    broker: Broker, start: Start, monkeypatch: pytest.MonkeyPatch, *, hears_the_second: bool
) -> None:
    """The server was away, and somebody wrote before its witness had connected again: it reads what it missed, once.

    Also what lies before the first word that it hears again.
    """
    monkeypatch.setattr(buckets_module, "_RECONNECT_EVERY_S", 0.5)
    await broker.make()
    observer = await start()
    await broker.desire(PAIR)
    await observer.drain()
    await broker.server.kill()
    await broker.server.restart()

    def seen(revision: int) -> bool:
        return any(entry.revision == revision for entry in broker.recorder.history().of(KvEntry))

    writer = await nats.connect(broker.server.url)
    await writer.jetstream().publish("$KV.desired-state.early.app", desired_by().encode())
    assert not observer.client.is_connected
    if hears_the_second:
        await observer.stream_state(Bucket.DEVICE_STATE)
    marker = {"KV-Operation": "DEL"}
    revision = (await writer.jetstream().publish("$KV.desired-state.site.rack.one.app", b"", headers=marker)).seq
    if hears_the_second:
        await wait_for("the second", lambda: True if seen(revision) else None, deadline_s=5.0)
    await writer.close()
    await observer.drain()
    await observer.drain()
    entries = sorted(broker.recorder.history().of(KvEntry), key=lambda e: e.revision)
    assert [(e.key, e.operation, e.revision, e.previous) for e in entries[1:]] == [
        ("early.app", "put", revision - 1, 0),
        ("site.rack.one.app", "delete", revision, revision - 2),
    ]
    await observer.stream_state(Bucket.DESIRED_STATE)
    assert witness_gap(broker.recorder.history()) is None
