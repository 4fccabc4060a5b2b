"""Follows a bucket: a replay of what it holds, then every change, and a `current` that holds only while it is true.

    consumer made -> replay (pending counts down) -> replayed -> live
         ^                                                        |
         +--- gap, silence, reconnect, consumer gone: `lost` <----+     then a replay in full

We do this ourselves because the client's ordered consumer resumes at "last sequence + 1": after a bucket was made
again it looks healthy and stays silent. A replay is complete when a delivery says that nothing is pending, or when a
heartbeat comes and the consumer's info says so: a purged tail delivers fewer messages than were promised.
"""

import asyncio
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.backoff import Backoff
from fleet.bus.connection import REQUEST_TIMEOUT_S, nats_errors
from fleet.errors import PeerAway, PeerError
from fleet.wire import Bucket, kv_subject, stream_name

_HEARTBEAT_S = 2.0
_SILENCE_S_MAX = 3 * _HEARTBEAT_S
_LEAVE_S_MAX = 1.0
_INACTIVE_THRESHOLD_S = 30.0
_PENDING_MESSAGES_MAX = 4 * 1024 * 1024
_PENDING_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as the bucket has it. `value` is None for a delete marker; `revision` 0 if the key left no trace."""

    key: str
    revision: int
    value: bytes | None


class ReplicaSink(Protocol):
    """Where a replica's news go: called in order, never blocking."""

    def replay_started(self) -> None: ...
    def expecting(self, count: int) -> None: ...
    def entry(self, entry: Entry) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class KvReplica:
    """One bucket, followed for ever by `run`."""

    def __init__(self, client: Client, js: JetStreamContext, bucket: Bucket, sink: ReplicaSink) -> None:
        self._client = client
        self._js = js
        self._bucket = bucket
        self._sink = sink
        self._keys: set[str] = set()
        self._session: _Session | None = None
        # Consumers that could not be deleted because the server was away.
        self._left: set[str] = set()

    def disconnected(self) -> None:
        """The connection was lost: what we know may be old from now on."""
        if self._session is not None:
            self._session.fail("connection lost")

    async def run(self) -> None:
        """Follow the bucket until cancelled. Expected trouble goes to the sink; anything else is raised."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            session = self._session = _Session(self._client, self._bucket, self._sink, self._keys)
            try:
                await self._follow(session)
            except PeerError as e:
                self._sink.lost(str(e))
            self._keys = session.keys if session.replayed else self._keys | session.keys
            await asyncio.sleep(backoff.delay_s(lasted_s=loop.time() - began))

    async def _follow(self, session: "_Session") -> None:
        """One replay and all that follows it; ends only by raising PeerError."""
        if not self._client.is_connected:
            raise PeerAway(f"bucket {self._bucket.value}: NATS is not connected")
        self._sink.replay_started()
        name = f"fleet-{secrets.token_hex(8)}"
        inbox = self._client.new_inbox()
        subscription: Subscription | None = None
        try:
            with nats_errors(f"bucket {self._bucket.value}"):
                for left in list(self._left):
                    await self._delete_consumer(left)
                subscription = await self._client.subscribe(
                    inbox,
                    cb=session.received,
                    pending_msgs_limit=_PENDING_MESSAGES_MAX,
                    pending_bytes_limit=_PENDING_BYTES_MAX,
                )
                # Whatever becomes of the request, the server may have made it.
                self._left.add(name)
                info = await self._js.add_consumer(
                    stream_name(self._bucket),
                    config=ConsumerConfig(
                        name=name,
                        deliver_subject=inbox,
                        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
                        ack_policy=AckPolicy.NONE,
                        filter_subject=kv_subject(self._bucket, ">"),
                        flow_control=True,
                        idle_heartbeat=_HEARTBEAT_S,
                        inactive_threshold=_INACTIVE_THRESHOLD_S,
                        mem_storage=True,
                        num_replicas=1,
                    ),
                    timeout=REQUEST_TIMEOUT_S,
                )
            session.promised(info.num_pending or 0)
            await self._watch(session, name)
        finally:
            # A delivery that is still on its way belongs to nobody.
            session.fail("left")
            if subscription is not None:
                await self._leave(subscription, name)

    async def _watch(self, session: "_Session", name: str) -> None:
        """Wait for trouble: told by the session, or a silence of three heartbeats."""
        while True:
            try:
                async with asyncio.timeout(_SILENCE_S_MAX):
                    await session.heard.wait()
            except TimeoutError as e:
                raise PeerAway(f"bucket {self._bucket.value}: silent for {_SILENCE_S_MAX:g} s") from e
            session.heard.clear()
            if session.crash is not None:
                raise session.crash
            if session.failure is not None:
                raise PeerAway(f"bucket {self._bucket.value}: {session.failure}")
            if session.idle and not session.replayed:
                with nats_errors(f"bucket {self._bucket.value}"):
                    info = await self._js.consumer_info(stream_name(self._bucket), name, timeout=REQUEST_TIMEOUT_S)
                if info.num_pending == 0 and info.delivered and info.delivered.consumer_seq == session.delivered:
                    session.complete()

    async def _leave(self, subscription: Subscription, name: str) -> None:
        """Leave no consumer behind; with the peer away it is deleted before the next one is made."""
        try:
            async with asyncio.timeout(_LEAVE_S_MAX):
                with nats_errors("leave"):
                    await subscription.unsubscribe()
                    if self._client.is_connected:
                        await self._delete_consumer(name)
        except (PeerError, TimeoutError):
            return

    async def _delete_consumer(self, name: str) -> None:
        with suppress(NotFoundError):
            await self._js.delete_consumer(stream_name(self._bucket), name)
        self._left.discard(name)


class _Session:
    """One consumer's life: counts deliveries, notices gaps, knows when the replay is complete."""

    def __init__(self, client: Client, bucket: Bucket, sink: ReplicaSink, known: set[str]) -> None:
        self.heard = asyncio.Event()
        self.idle = False
        self.replayed = False
        self.failure: str | None = None
        self.crash: Exception | None = None
        self.delivered = 0
        self._client = client
        self.keys: set[str] = set()
        self._known = known
        self._sink = sink
        self._prefix_len = len(kv_subject(bucket, ""))

    def fail(self, reason: str) -> None:
        self.failure = self.failure or reason
        self.heard.set()

    def promised(self, pending: int) -> None:
        """The server's count when it made the consumer; deliveries may have come before it."""
        if self.delivered == 0 and self.failure is None:
            self._sink.expecting(pending)
            if pending == 0:
                self.complete()

    def complete(self) -> None:
        """What we knew and this replay did not show is gone, without a marker."""
        if self.replayed:
            return
        for key in self._known - self.keys:
            self._sink.entry(Entry(key, 0, None))
        self.replayed = True
        self._sink.replayed()

    async def received(self, message: Msg) -> None:
        """The subscription's callback. The client only reports what it raises, so a crash is handed to the watcher."""
        if self.failure is not None or self.crash is not None:
            return
        try:
            await self._receive(message)
        except PeerError as e:
            self.failure = str(e)
        except Exception as e:  # noqa: BLE001 - raised again by the watcher
            self.crash = e
        self.heard.set()

    async def _receive(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status")
        if status == "100":
            await self._control(message, headers)
            return
        if status is not None:
            self.fail(f"the server says {status} {headers.get('Description', '')}".rstrip())
            return
        revision, sequence, pending = _delivery(message.reply)
        if sequence != self.delivered + 1:
            self.fail(f"delivery {sequence} came after {self.delivered}")
            return
        self.idle = False
        self.delivered = sequence
        if sequence == 1 and not self.replayed:
            self._sink.expecting(pending + 1)
        key = message.subject[self._prefix_len :]
        deleted = headers.get("KV-Operation") in {"DEL", "PURGE"}
        self.keys.add(key)
        self._sink.entry(Entry(key, revision, None if deleted else message.data))
        if pending == 0:
            self.complete()

    async def _control(self, message: Msg, headers: dict[str, str]) -> None:
        # A stalled consumer names the subject to answer in a heartbeat; a flow control request is its own subject.
        answer = message.reply or headers.get("Nats-Consumer-Stalled")
        if answer:
            with nats_errors("flow control"):
                await self._client.publish(answer)
            return
        last = headers.get("Nats-Last-Consumer")
        if last is not None and int(last) != self.delivered:
            self.fail(f"the server delivered {last}, we saw {self.delivered}")
        self.idle = True


def _delivery(reply: str) -> tuple[int, int, int]:
    """(stream sequence, consumer sequence, pending) of `$JS.ACK.…`, in its short or its domain form."""
    tokens = reply.split(".")
    # $JS.ACK.[domain.account.]stream.consumer.delivered.stream_seq.consumer_seq.time.pending[.random]
    first = 5 if len(tokens) == 9 else 7  # noqa: PLR2004 - the two published lengths are 9 and 11 or more
    try:
        return int(tokens[first]), int(tokens[first + 1]), int(tokens[first + 3])
    except (IndexError, ValueError) as e:
        raise PeerAway(f"a message that no consumer sent: reply {reply[:100]!a}") from e
