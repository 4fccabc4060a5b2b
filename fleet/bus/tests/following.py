"""A replica that runs for a test, and what fills its bucket."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import ServerError

from fleet import backoff
from fleet.bus import replica
from fleet.bus.buckets import Identity
from fleet.bus.replica import KvReplica
from fleet.bus.tests.servers import DEADLINE_S, Life
from fleet.bus.tests.sink import BUCKET, STREAM, Sink
from fleet.wire import Bucket, kv_subject


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry in milliseconds, prove five times a second, and take a silence of under a second for trouble."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 0.001)
    monkeypatch.setattr(backoff, "_DELAY_S_MAX", 0.02)
    monkeypatch.setattr(replica, "_HEARTBEAT_S", 0.2)
    monkeypatch.setattr(replica, "_SILENCE_TURN_S", 0.06)
    monkeypatch.setattr(replica, "_CHECK_S", 0.2)


@asynccontextmanager
async def running(
    client: Client,
    js: JetStreamContext,
    life: Life,
    sink: Sink,
    *,
    identity: Identity | None = None,
    bucket: Bucket = BUCKET,
) -> AsyncIterator[KvReplica]:
    followed = KvReplica(client, js, bucket, sink, identity)
    life.on_lost.append(followed.disconnected)
    task = asyncio.create_task(followed.run())
    try:
        yield followed
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def fill(js: JetStreamContext, keys: Iterable[str], size_bytes: int = 1) -> None:
    await asyncio.gather(*(js.publish(kv_subject(BUCKET, key), b"x" * size_bytes, timeout=5) for key in keys))


async def consumers(js: JetStreamContext) -> int:
    return len(await js.consumers_info(STREAM))


async def replace_stream(js: JetStreamContext, config: StreamConfig) -> None:
    """Put another stream in the place of the bucket's: with "error creating store" the server still clears the old."""
    await js.delete_stream(STREAM)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(ServerError):
                await js.add_stream(config)
                return
