"""The witness of desired-state on a real broker: it sees all that was stored, and says when it did not."""

import asyncio

import pytest

from fleet.wire import Bucket
from harness.checks.reference import witness_gap
from harness.devices.tests.broker import Broker, desired_by, pair_of
from harness.errors import ServiceError
from harness.history import KvEntry, StreamState
from harness.observers import buckets as buckets_module
from harness.observers.buckets import BucketObserver

PAIR = pair_of("site.rack.one")


async def test_what_is_stored_is_seen_once_drained(broker: Broker) -> None:
    """Puts and delete markers, with revisions and bytes, from before the bucket existed."""
    observer = await BucketObserver.start(broker.server.url, broker.recorder)
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
    await observer.close()


async def test_a_burst_is_seen_whole(broker: Broker) -> None:
    """On return from `drain` the last of many is there, and the counters agree."""
    await broker.make()
    observer = await BucketObserver.start(broker.server.url, broker.recorder)
    await asyncio.gather(*(broker.desire(pair_of(f"d{number}")) for number in range(300)))
    await observer.drain()
    assert len(broker.recorder.history().of(KvEntry)) == 300
    await observer.stream_state(Bucket.DESIRED_STATE)
    assert witness_gap(broker.recorder.history()) is None
    await observer.close()


async def test_a_write_of_before_is_a_gap(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it cannot have seen is not waited for twice, and the check knows that something is missing."""
    monkeypatch.setattr(buckets_module, "SEEN_WITHIN_S", 0.1)
    await broker.make()
    await broker.desire(PAIR)
    observer = await BucketObserver.start(broker.server.url, broker.recorder)
    await observer.drain()
    monkeypatch.setattr(buckets_module, "SEEN_WITHIN_S", 60)
    async with asyncio.timeout(1):
        await observer.drain()
    await observer.stream_state(Bucket.DESIRED_STATE)
    assert witness_gap(broker.recorder.history()) is not None
    await observer.close()


async def test_the_state_of_a_stream(broker: Broker) -> None:
    """The settings that the contract asks for are in the history."""
    await broker.make()
    observer = await BucketObserver.start(broker.server.url, broker.recorder)
    await broker.desire(PAIR)
    await observer.stream_state(Bucket.DESIRED_STATE)
    await observer.stream_state(Bucket.DEVICE_INFO)
    desired, info = broker.recorder.history().of(StreamState)
    assert (desired.history_per_key, desired.republished_to, desired.messages) == (1, "fleet.desired.>", 1)
    assert (info.republished_to, info.messages) == (None, 0)
    await observer.close()


async def test_no_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error within the deadline, and nothing left of the attempt."""
    monkeypatch.setattr(buckets_module, "CONNECT_WITHIN_S", 0.3)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="no broker at"):
        await BucketObserver.start(broker.server.url, broker.recorder)


async def test_a_broker_that_goes_away(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A witness that hears nothing any more says so; silence is no count."""
    monkeypatch.setattr(buckets_module, "ANSWER_WITHIN_S", 0.3)
    observer = await BucketObserver.start(broker.server.url, broker.recorder)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="does not answer its witness"):
        await observer.drain()
    await observer.close()
