"""One consumer's life inside a replica: counts deliveries, notices gaps, feeds the sink, never blocks the loop long.

    client --messages--> `take` --queue--> `pump` (slices of half a millisecond, or one read) --> sink

Most of a replay comes as `Deliveries`, which are handled at once, column by column. If anything about them is not as it
is in a sound replay, and for whatever else comes, each message is looked at by itself: that path decides.

What nobody has pumped yet waits in the queue. The server bounds it: its flow control asks, and is answered only when
all that came before has been handed over.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple, Protocol

from nats.aio.client import Client
from nats.aio.msg import Msg

from fleet.bus.connection import nats_errors
from fleet.bus.deliveries import NS, Deliveries, Raw, entries_of, key_of
from fleet.bus.entry import Entries, Entry, is_marker, raw_headers
from fleet.errors import PeerAway
from fleet.wire import Bucket, kv_subject, stream_name

_SLICE_S = 0.0005
# Of those that are read one by one.
_TOLD_AT_ONCE_MAX = 64
# $JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.DELIVERED.REVISION.SEQUENCE.TIME.PENDING, perhaps with a random token.
_LONG_FORM_TOKENS = 11


class StreamFacts(NamedTuple):
    """What a session found when it began.

    `created_s` is the stream's creation time (its incarnation) and `broker_now_s` the broker's clock (0.0: not told),
    both Unix seconds. `made`: this session had to create the stream, or found one that somebody else had made or
    purged. `replaced`: it is another incarnation than that of the session before.
    """

    created_s: float
    broker_now_s: float
    made: bool
    replaced: bool


class ReplicaSink(Protocol):
    """Where a replica's news go: called in order, never blocking.

    A session: `replay_started`, `opened`, then `expecting` and entries, then `replayed`; from then on what it was told
    is current until `lost`. After a `recheck` it is `lost`, then `replayed` again without a replay.
    """

    def replay_started(self) -> None: ...
    def opened(self, facts: StreamFacts) -> None: ...
    def expecting(self, count: int) -> None: ...
    def entries(self, entries: Entries) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class Session:
    """Messages in, entries out. `failed` is set with the reason once and for all; then nothing reaches the sink."""

    def __init__(self, client: Client, bucket: Bucket, consumer: str, sink: ReplicaSink) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Messages so far, of whatever kind, handled or not.
        self.heard = 0
        # What the server counted, and the highest revision that was handed over.
        self.delivered = 0
        self.position = 0
        self.keys: set[str] = set()
        self.incarnation = ""
        self.opened = False
        # A reason to believe that the replay is complete; `current` once that was proved.
        self.candidate = False
        self.complete = False
        self.current = False
        self.doubts = 0
        self.nudge = asyncio.Event()
        self.moved = asyncio.Event()
        self._client = client
        self._bucket = bucket
        self._sink = sink
        self._queue: deque[Raw | Deliveries] = deque()
        self._wake = asyncio.Event()
        self._prefix = kv_subject(bucket, "")
        self._ack_prefix = f"$JS.ACK.{stream_name(bucket)}.{consumer}.1.".encode()
        # Deliveries that were read and not told yet, and how many were to come after the last of them.
        self._read: list[Entry] = []
        self._pending = 0
        # Revisions of new keys, kept while somebody counts keys.
        self._new: list[int] = []
        self._counting = 0

    @property
    def over(self) -> bool:
        return self.failed.done()

    def fail(self, reason: str) -> None:
        """End it: `lost` at once, and not a word more."""
        if not self.over:
            self.failed.set_exception(PeerAway(reason))
            # Whoever waits for it raises it; if nobody does any more, that is no error.
            self.failed.exception()
            self.current = False
            self._sink.lost(reason)
            self.moved.set()

    def close(self) -> None:
        """End it without a word."""
        self.failed.cancel()

    def doubt(self, reason: str) -> None:
        """What it told may be old: `lost` now, `replayed` once that is disproved."""
        if not self.over:
            self.doubts += 1
            self.current = False
            self._sink.lost(reason)
            self.nudge.set()

    def confirm(self) -> None:
        """It was proved complete."""
        if not self.over and not self.current:
            self.complete = self.current = True
            self._sink.replayed()
            self.moved.set()

    def forget(self, key: str) -> None:
        """A key that we knew and the replay did not show: gone without a marker."""
        if not self.over and key not in self.keys:
            self._sink.entries(Entries.of(Entry(key, 0, None)))

    def begin(self, facts: StreamFacts) -> None:
        if not self.over:
            self._sink.replay_started()
            self._sink.opened(facts)

    def promised(self, pending: int) -> None:
        """The consumer was made, with so many to come by the server's count; deliveries may have come before it."""
        self.opened = True
        if self.delivered == 0 and not self.over:
            self._sink.expecting(pending)
            if pending == 0:
                self._is_candidate()

    @contextmanager
    def counting(self) -> Iterator[Callable[[int], int]]:
        """Yields `count(revision)`: how many keys we had been told of when we had passed that revision."""
        self._counting += 1
        try:
            yield lambda revision: len(self.keys) - sum(new > revision for new in self._new)
        finally:
            self._counting -= 1
            if not self._counting:
                self._new.clear()

    def take(self, messages: Sequence[Raw] | Deliveries) -> None:
        """Messages as they came in (see `fleet.bus.tap`)."""
        if not self._queue:
            self._wake.set()
        self.heard += len(messages)
        if isinstance(messages, Deliveries):
            self._queue.append(messages)
        else:
            self._queue.extend(messages)

    async def received(self, message: Msg) -> None:
        """A message that came the ordinary way."""
        self.take([(message.subject.encode(), message.reply.encode(), message.data, raw_headers(message))])

    async def pump(self) -> None:
        """Hand over what comes, until cancelled. Raises PeerError, and whatever the sink raises."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                answer = self._slice()
                self.moved.set()
                if answer is not None:
                    with nats_errors("flow control"):
                        await self._client.publish(answer)
                await asyncio.sleep(0)

    def _slice(self) -> str | None:
        """Handle what waits, for a moment at most; the subject to answer if the server asks for it."""
        until_s = perf_counter() + _SLICE_S
        queue, answer = self._queue, None
        while queue and not self.over and answer is None and perf_counter() < until_s:
            first = queue.popleft()
            if isinstance(first, Deliveries):
                self._tell_read()
                if not self._all_at_once(first):
                    queue.extendleft(reversed(list(first)))
            elif first[1].startswith(self._ack_prefix):
                self._one(first)
                if len(self._read) == _TOLD_AT_ONCE_MAX:
                    self._tell_read()
            else:
                self._tell_read()
                answer = self._other(first)
        self._tell_read()
        if self.over:
            queue.clear()
        return answer

    def _all_at_once(self, run: Deliveries) -> bool:
        """The hot path: a replay passes here once for a hundred keys. False if they must be looked at one by one."""
        entries = entries_of(run, self._ack_prefix, self._prefix, self.delivered, self.position)
        if entries is None or self._counting:
            return False
        self.keys.update(entries.keys)
        self.delivered += len(entries)
        self.position = entries.revisions[-1]
        self._tell(entries, run.pending[-1])
        return True

    def _one(self, message: Raw) -> None:
        """A delivery by itself: it is read, and told with its neighbours."""
        subject, reply, data, headers = message
        try:
            revision, sequence, time_ns, pending = map(int, reply[len(self._ack_prefix) :].split(b".")[:4])
        except ValueError:
            self._trouble(no_delivery(reply))
            return
        if sequence != self.delivered + 1 or revision <= self.position:
            came_after = f"{self.delivered} ({self.position})"
            self._trouble(f"delivery {sequence} (revision {revision}) came after {came_after}")
            return
        self.delivered, self.position, self._pending = sequence, revision, pending
        key = key_of(subject, self._prefix)
        if self._counting and key not in self.keys:
            self._new.append(revision)
        self.keys.add(key)
        self._read.append(Entry(key, revision, None if headers and is_marker(headers) else data, time_ns / NS))

    def _tell_read(self) -> None:
        """Tell what was read one by one and is not told yet."""
        read, self._read = self._read, []
        if read:
            self._tell(Entries.of(*read), self._pending)

    def _tell(self, entries: Entries, pending: int) -> None:
        if self.delivered == len(entries) and not self.candidate:
            self._sink.expecting(pending + len(entries))
        self._sink.entries(entries)
        if not pending:
            self._is_candidate()

    def _other(self, message: Raw) -> str | None:
        """A control message of the server, or a delivery in its longer form."""
        _, reply, _, headers = message
        if reply.startswith(b"$JS.ACK."):
            # $JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.DELIVERED.: the account's hash is learnt from the first.
            tokens = reply.split(b".")
            prefix = b".".join(tokens[:7]) + b"."
            if len(tokens) >= _LONG_FORM_TOKENS and prefix.endswith(self._ack_prefix.removeprefix(b"$JS.ACK")):
                self._ack_prefix = prefix
                self._queue.appendleft(message)
                return None
        if not headers or not headers.startswith(b"NATS/1.0 "):
            self._trouble(no_delivery(reply))
            return None
        status, *lines = headers.decode(errors="replace").split("\r\n")
        if not status.startswith("NATS/1.0 100"):
            self._trouble(f"the server says {status.removeprefix('NATS/1.0 ')}")
            return None
        told = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        # A stalled consumer names the subject to answer in a heartbeat; a flow control request is its own subject.
        answer = reply.decode() or told.get("Nats-Consumer-Stalled")
        if answer:
            return answer
        last = told.get("Nats-Last-Consumer", str(self.delivered))
        if last != str(self.delivered):
            self._trouble(f"the server delivered {last}, we saw {self.delivered}")
            return None
        self._is_candidate()
        return None

    def _is_candidate(self) -> None:
        if not self.candidate:
            self.candidate = True
            self.nudge.set()

    def _trouble(self, reason: str) -> None:
        self._tell_read()
        self.fail(f"bucket {self._bucket.value}: {reason}")


def no_delivery(reply: bytes) -> str:
    return f"a message that no consumer sent: reply {reply.decode(errors='replace')[:100]!a}"
