"""Follows a bucket: a replay of what it holds, then every change, and a `current` that holds only while it is true.

    bucket ensured -> consumer made -> replay (pending counts down) -> proof -> replayed -> live, proved every 2 s
         ^                                                                                   |
         +--- gap, silence, reconnect, another stream, keys that vanished: `lost` <----------+   then a replay in full

We do this ourselves because the client's ordered consumer resumes at "last sequence + 1": after a bucket was made
again it looks healthy and stays silent.

The proof is what makes `replayed` true and keeps it so. No message tells of a purge, and the pending counts of a server
are wrong near its limits. But at any moment the stream holds one message for each key, so: ask it for its last sequence
and its number of messages; once we have passed that sequence, our keys must number as many. More keys than messages
means that some vanished. Fewer means that we were not told of some, unless these were overwritten while under way to
us: then the next look agrees.
"""

import asyncio
import secrets
from contextlib import suppress
from itertools import count

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.backoff import Backoff
from fleet.bus import api, buckets, tap
from fleet.bus.buckets import Identity
from fleet.bus.connection import nats_errors
from fleet.bus.session import ReplicaSink, Session, StreamFacts
from fleet.errors import PeerAway, PeerError
from fleet.wire import Bucket, kv_subject, stream_name

__all__ = ["KvReplica", "ReplicaSink", "StreamFacts"]

_HEARTBEAT_S = 2.0
# Counted in turns of the loop's clock, not by the clock: a process that stood still has heard nothing either.
_SILENCE_TURNS_MAX = 12
_SILENCE_TURN_S = 0.5
_CHECK_S = 2.0
_RETRY_S = 0.05
# An answer queues behind all that replays of other buckets have under way on this connection.
_ANSWER_S_MAX = 15
_PROOF_S_MAX = 10.0
_LEAVE_S_MAX = 1.0
_INACTIVE_THRESHOLD_S = 30.0
_PENDING_MESSAGES_MAX = 4 * 1024 * 1024
_PENDING_BYTES_MAX = 1 << 30
_FORGET_AT_ONCE = 500


class KvReplica:
    """One bucket, followed for ever by `run`."""

    def __init__(
        self,
        client: Client,
        js: JetStreamContext,
        bucket: Bucket,
        sink: ReplicaSink,
        identity: Identity | None = None,
    ) -> None:
        self._client = client
        self._js = js
        self._bucket = bucket
        self._name = f"bucket {bucket.value}"
        self._sink = sink
        self._identity = identity
        # Another name for each session: a request to delete that a dead link held back comes through minutes later.
        self._names = (f"fleet-{secrets.token_hex(8)}-{number}" for number in count(1))
        self._consumer = ""
        # Those that the server may have, since they could not be deleted, or were asked for by a session that gave up.
        self._left: set[str] = set()
        self._keys: set[str] = set()
        self._incarnation: str | None = None
        self._session: Session | None = None
        self._subscription: Subscription | None = None
        self._news = asyncio.Event()

    def disconnected(self) -> None:
        """The connection was lost: what we know may be old from now on."""
        if self._session is not None:
            self._session.fail(f"{self._name}: connection lost")

    def recheck(self, reason: str) -> None:
        """Doubt what was told, because time passed unnoticed: `lost` now, `replayed` again once it was proved."""
        if self._session is not None:
            self._session.doubt(reason)

    async def caught_up(self, deadline_s: float) -> None:
        """Return when all that was stored before the call has been handed over, or replaced by what is on its way.

        A lost session is waited out: the replay of the next one brings it all. Raises PeerAway after `deadline_s`.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    session = self._session
                    ready = session is not None and session.complete and not session.over
                    if session is not None and ready and await self._proved(session):
                        return
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError as e:
            raise PeerAway(f"{self._name}: not caught up within {deadline_s:g} s") from e

    async def _proved(self, session: Session) -> bool:
        """Whether a proof for somebody else than the session itself came out right; its end is the session's too."""
        try:
            await self._prove(session)
        except PeerError as e:
            session.fail(str(e))
        return not session.over

    async def run(self) -> None:
        """Follow the bucket until cancelled. Expected trouble goes to the sink; anything else is raised."""
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            session = self._new_session()
            await self._follow(session)
            self._keys = session.keys if session.complete else self._keys | session.keys
            self._news.set()
            await asyncio.sleep(backoff.delay_s(lasted_s=loop.time() - began))

    def _new_session(self) -> Session:
        self._consumer = next(self._names)
        self._session = Session(self._client, self._bucket, self._consumer, self._sink)
        return self._session

    async def _follow(self, session: Session) -> None:
        """One replay and all that follows it, until the session has failed."""
        tasks = [asyncio.ensure_future(c) for c in (self._attend(session), session.pump(), self._listen(session))]
        try:
            await asyncio.wait([session.failed, *tasks], return_when=asyncio.FIRST_COMPLETED)
            ended = [task.exception() for task in tasks if task.done() and not task.cancelled()]
            reason = next((error for error in ended if error is not None), None)
            # It is lost from here on, however long the leaving takes; if it failed by itself, that was said already.
            session.fail(str(reason) if isinstance(reason, PeerError) else f"{self._name}: followed no more")
        finally:
            session.close()
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await self._leave()
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, PeerError):
                raise outcome

    async def _attend(self, session: Session) -> None:
        """Open the session, then prove it: when its replay seems complete, when it was doubted, and now and then."""
        await self._open(session)
        loop = asyncio.get_running_loop()
        check_at = loop.time()
        while not session.over:
            if session.candidate and (not session.current or loop.time() >= check_at):
                doubts = session.doubts
                await self._prove(session)
                if not session.complete:
                    await self._forget_vanished(session)
                if doubts == session.doubts:
                    session.confirm()
                    self._news.set()
                check_at = loop.time() + _CHECK_S
            elif await _within(check_at - loop.time() if session.current else _CHECK_S, session.nudge):
                session.nudge.clear()

    async def _open(self, session: Session) -> None:
        if not self._client.is_connected:
            raise PeerAway(f"{self._name}: NATS is not connected")
        report = await buckets.ensure(self._js, self._bucket, self._identity, timeout_s=_ANSWER_S_MAX)
        replaced = self._incarnation not in {None, report.incarnation}
        self._incarnation = session.incarnation = report.incarnation
        session.begin(StreamFacts(report.created_s, report.broker_now_s, made=report.incomplete, replaced=replaced))
        for consumer in tuple(self._left):
            await self._delete(consumer)
        inbox = self._client.new_inbox()
        with nats_errors(self._name):
            subscription = self._subscription = await self._client.subscribe(
                inbox,
                cb=session.received,
                pending_msgs_limit=_PENDING_MESSAGES_MAX,
                pending_bytes_limit=_PENDING_BYTES_MAX,
            )
            tap.tap(self._client, subscription, session.take)
            # Whatever becomes of the request, the server may have made it.
            self._left.add(self._consumer)
            info = await self._js.add_consumer(
                stream_name(self._bucket),
                config=ConsumerConfig(
                    name=self._consumer,
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
                timeout=_ANSWER_S_MAX,
            )
        session.promised(info.num_pending or 0)

    async def _prove(self, session: Session) -> None:
        """Return when we have passed what the stream held at the call, and our keys number what it held.

        Raises PeerError if that cannot be: the session is to end.
        """
        loop = asyncio.get_running_loop()
        give_up_at: float | None = None
        while not session.over:
            with session.counting() as keys_at:
                found = await self._look(session)
                await self._pass(session, found.last_seq)
                keys = keys_at(found.last_seq)
            if keys == found.messages or not found.one_message_per_key:
                return
            if keys > found.messages:
                raise PeerAway(f"{self._name}: {keys - found.messages} of its keys vanished without a delete marker")
            give_up_at = give_up_at or loop.time() + _PROOF_S_MAX
            if loop.time() >= give_up_at:
                raise PeerAway(f"{self._name}: it holds {found.messages} keys and the server told of {keys}")
            await asyncio.sleep(_RETRY_S)

    async def _look(self, session: Session) -> api.Stream:
        with nats_errors(self._name):
            found = await api.stream(self._js, self._bucket, timeout_s=_ANSWER_S_MAX)
        if found is None:
            raise PeerAway(f"{self._name}: its stream was deleted")
        if found.created != session.incarnation:
            raise PeerAway(f"{self._name}: its stream was deleted and made again")
        buckets.check_identity(self._bucket, found, self._identity)
        return found

    async def _pass(self, session: Session, last_seq: int) -> None:
        """Wait until all up to `last_seq` was handed over; of a purged tail nothing comes, and the consumer says so."""
        loop = asyncio.get_running_loop()
        moved_at, seen = loop.time(), session.delivered
        while session.position < last_seq and not session.over:
            with nats_errors(self._name):
                info = await self._js.consumer_info(stream_name(self._bucket), self._consumer, timeout=_ANSWER_S_MAX)
            sent = info.delivered.consumer_seq if info.delivered else 0
            if info.num_pending == 0 and sent == session.delivered:
                return
            session.moved.clear()
            await _within(_RETRY_S, session.moved)
            if session.delivered != seen:
                moved_at, seen = loop.time(), session.delivered
            elif loop.time() - moved_at > _PROOF_S_MAX:
                raise PeerAway(f"{self._name}: {info.num_pending} messages are promised and do not come")

    async def _forget_vanished(self, session: Session) -> None:
        """What we knew and this replay did not show is gone, without a marker."""
        for number, key in enumerate(self._keys - session.keys):
            session.forget(key)
            if number % _FORGET_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _listen(self, session: Session) -> None:
        """Raise PeerAway once the consumer has been silent for three heartbeats."""
        heard, received, turns, quiet_turns = -1, 0, 0, 0
        while True:
            await asyncio.sleep(_SILENCE_TURN_S)
            before, received = received, self._client.stats["in_msgs"]
            quiet_turns = quiet_turns + 1 if received == before else 0
            if not session.opened or session.heard != heard:
                heard, turns = session.heard, 0
                continue
            turns += 1
            if turns < _SILENCE_TURNS_MAX:
                continue
            if quiet_turns < _SILENCE_TURNS_MAX // 2:
                # The heartbeats may wait behind replays of other buckets; then so does the answer to a ping.
                with nats_errors(self._name):
                    await self._client.rtt(timeout=_ANSWER_S_MAX)
            if session.heard == heard:
                raise PeerAway(f"{self._name}: silent for {turns * _SILENCE_TURN_S:g} s")

    async def _leave(self) -> None:
        """Leave no consumer behind; with the peer away it is deleted before the next one is made."""
        subscription, self._subscription = self._subscription, None
        if subscription is None:
            return
        tap.untap(self._client, subscription)
        with suppress(PeerError, TimeoutError):
            async with asyncio.timeout(_LEAVE_S_MAX):
                with nats_errors("leave"):
                    await subscription.unsubscribe()
                    if self._client.is_connected:
                        await self._delete(self._consumer)

    async def _delete(self, consumer: str) -> None:
        with nats_errors(self._name), suppress(NotFoundError):
            await self._js.delete_consumer(stream_name(self._bucket), consumer)
        self._left.discard(consumer)


async def _within(timeout_s: float, event: asyncio.Event) -> bool:
    """Wait for the event, for so long at most; whether it came."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            return await event.wait()
    return False
