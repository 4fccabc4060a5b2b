"""Sees what the broker stored of what agents write: device-info, device-state and device-heartbeat.

Nothing republishes those, so it reads them with consumers of its own, one a bucket, made again when the bucket or the
server is. Of two values of a key that were stored within the same instant it may see the second alone.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Self

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamInfo
from nats.js.errors import NotFoundError

from fleet.wire import Bucket, kv_subject, stream_name
from harness.errors import ServiceError, WaitTimeout
from harness.history import KvEntry, Recorder
from harness.services.nats_client import HarnessClient, close_client, connecting
from harness.wait import end_tasks, ticks, wait_for

WITNESSED = (Bucket.DEVICE_INFO, Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT)
ANSWER_WITHIN_S = 2.0
SEEN_WITHIN_S = 2.0
LOOK_EVERY_S = 0.1
_RECONNECT_EVERY_S = 0.02
_FORGOTTEN_AFTER_S = 10.0
_DELETED = frozenset({"DEL", "PURGE"})


class _Bucket:
    """How far one bucket was seen: `created` and `consumer` tell its stream and our reader apart from others."""

    def __init__(self) -> None:
        self.created = ""
        self.consumer = ""
        self.newest = 0
        self.held: dict[str, int] = {}


class ReportObserver:
    """Owns one NATS connection and a task; `close` it."""

    def __init__(self, client: HarnessClient, recorder: Recorder) -> None:
        self._client = client
        self._recorder = recorder
        self._buckets = {bucket: _Bucket() for bucket in WITNESSED}
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, url: str, recorder: Recorder) -> Self:
        """Raises ServiceError if no broker answers there."""
        client = HarnessClient()
        observer = cls(client, recorder)
        async with connecting(client, url, "the witness of reports", reconnect_every_s=_RECONNECT_EVERY_S):
            pass
        observer._task = asyncio.create_task(observer._follow(), name="witness of reports")
        return observer

    async def close(self) -> None:
        """Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            await end_tasks({task})
        await close_client(self._client)

    async def drain(self) -> None:
        """On return, whatever these buckets hold is in the history. Raises ServiceError if the broker does not answer.

        What was stored and is gone again (a purge) is not waited for long.
        """
        for bucket in WITNESSED:
            info = await self._look(bucket)
            if info is not None and info.state.messages:
                await self._wait_seen(bucket, info.state.last_seq)

    async def _wait_seen(self, bucket: Bucket, last: int) -> None:
        seen = self._buckets[bucket]
        try:
            await wait_for(
                f"the witness to see write {last} of {bucket}",
                lambda: True if seen.newest >= last else None,
                deadline_s=SEEN_WITHIN_S,
                interval_s=0.005,
            )
        except WaitTimeout:
            seen.newest = max(seen.newest, last)

    async def _follow(self) -> None:
        async for _ in ticks(LOOK_EVERY_S):
            for bucket in WITNESSED:
                try:
                    await self._look(bucket)
                except ServiceError:
                    # A server that is away is what scenarios make.
                    break

    async def _look(self, bucket: Bucket) -> StreamInfo | None:
        """See to it that a consumer follows the bucket; None if there is no such bucket. Raises ServiceError."""
        seen = self._buckets[bucket]
        js = self._client.jetstream(timeout=ANSWER_WITHIN_S)
        async with self._looking:
            try:
                info = await js.stream_info(stream_name(bucket))
                if str(info.created) != seen.created:
                    seen.created, seen.consumer, seen.newest, seen.held = str(info.created), "", 0, {}
                if seen.consumer and not info.state.consumer_count:
                    seen.consumer = ""
                if not seen.consumer:
                    seen.consumer = await self._read(bucket, seen)
            except NotFoundError:
                return None
            except NatsError as e:
                raise ServiceError(f"{bucket}: the broker does not answer: {str(e) or type(e).__name__}") from e
        return info

    async def _read(self, bucket: Bucket, seen: _Bucket) -> str:
        inbox = self._client.new_inbox()
        await self._client.subscribe(inbox, cb=self._reader_of(bucket, seen.created))
        made = await self._client.jetstream(timeout=ANSWER_WITHIN_S).add_consumer(
            stream_name(bucket),
            ConsumerConfig(
                deliver_subject=inbox,
                deliver_policy=DeliverPolicy.BY_START_SEQUENCE if seen.newest else DeliverPolicy.ALL,
                opt_start_seq=seen.newest + 1 if seen.newest else None,
                ack_policy=AckPolicy.NONE,
                inactive_threshold=_FORGOTTEN_AFTER_S,
                mem_storage=True,
            ),
        )
        return made.name

    def _reader_of(self, bucket: Bucket, created: str) -> Callable[[Msg], Awaitable[None]]:
        async def read(message: Msg) -> None:
            seen, meta = self._buckets[bucket], message.metadata
            revision = meta.sequence.stream
            if seen.created != created or revision <= seen.newest:
                return
            key = message.subject.removeprefix(kv_subject(bucket, ""))
            stored: datetime = meta.timestamp
            self._recorder.add(
                KvEntry(
                    at_s=self._recorder.now_s,
                    bucket=bucket.value,
                    key=key,
                    operation="delete" if (message.headers or {}).get("KV-Operation") in _DELETED else "put",
                    revision=revision,
                    previous=seen.held.get(key, 0),
                    value=message.data.decode(errors="replace"),
                    stored_s=self._recorder.at_wall(stored.timestamp()),
                )
            )
            seen.newest, seen.held[key] = revision, revision

        return read
