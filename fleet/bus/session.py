"""One consumer's life inside a replica: counts deliveries, notices gaps, feeds the sink, never blocks the loop long.

    client --raw messages--> `take` --queue--> `pump` (slices of half a millisecond) --> sink

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
from fleet.bus.entry import Entry, is_marker
from fleet.bus.tap import raw_headers
from fleet.bus.tap_parser import Raw
from fleet.errors import PeerAway
from fleet.wire import Bucket, kv_subject, stream_name

_SLICE_S = 0.0005
_SLICE_MESSAGES = 64
_NS = 1e9
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
    def entries(self, entries: Sequence[Entry]) -> None: ...
    def replayed(self) -> None: ...
    def lost(self, reason: str) -> None: ...


class Session:
    """Messages in, entries out. `failed` is set with the reason once and for all; then nothing reaches the sink."""

    def __init__(self, client: Client, bucket: Bucket, consumer: str, sink: ReplicaSink) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
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
        self._queue: deque[Raw] = deque()
        self._wake = asyncio.Event()
        self._handled = 0
        self._prefix_len = len(kv_subject(bucket, "").encode())
        self._ack_prefix = f"$JS.ACK.{stream_name(bucket)}.{consumer}.1.".encode()
        # Revisions of new keys, kept while somebody counts keys.
        self._new: list[int] = []
        self._counting = 0

    @property
    def heard(self) -> int:
        """Messages so far, of whatever kind, handled or not."""
        return self._handled + len(self._queue)

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
            self._sink.entries([Entry(key, 0, None)])

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

    def take(self, messages: Sequence[Raw]) -> None:
        """Messages as they came in (see `fleet.bus.tap`)."""
        if not self._queue:
            self._wake.set()
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
        while self._queue and not self.over and perf_counter() < until_s:
            answer = self._batch(min(len(self._queue), _SLICE_MESSAGES))
            if answer is not None:
                return answer
        if self.over:
            self._handled += len(self._queue)
            self._queue.clear()
        return None

    def _batch(self, size: int) -> str | None:
        """The hot path: a replay passes here once for each key. Local names, and nothing that is not needed."""
        queue, keys, entries = self._queue, self.keys, list[Entry]()
        ack_prefix, ack_len, prefix_len = self._ack_prefix, len(self._ack_prefix), self._prefix_len
        delivered, position, pending = self.delivered, self.position, b""
        other: Raw | None = None
        trouble = ""
        for _ in range(size):
            subject, reply, data, headers = message = queue.popleft()
            if not reply.startswith(ack_prefix):
                other = message
                break
            tokens = reply[ack_len:].split(b".")
            try:
                revision, sequence, at_s = int(tokens[0]), int(tokens[1]), int(tokens[2]) / _NS
                pending = tokens[3]
            except (IndexError, ValueError):
                trouble = no_delivery(reply)
                break
            if sequence != delivered + 1 or revision <= position:
                trouble = f"delivery {sequence} (revision {revision}) came after {delivered} ({position})"
                break
            delivered, position = sequence, revision
            # Any bytes make a subject; the sink refuses the key if these are no text.
            key = subject[prefix_len:].decode(errors="surrogateescape")
            if self._counting and key not in keys:
                self._new.append(revision)
            keys.add(key)
            entries.append(Entry(key, revision, None if headers and is_marker(headers) else data, at_s))
        self.delivered, self.position = delivered, position
        self._handled += len(entries) + (other is not None) + (trouble != "")
        if entries:
            self._tell(entries, int(pending))
        if other is not None:
            return self._other(other)
        if trouble:
            self._trouble(trouble)
        elif pending == b"0":
            self._is_candidate()
        return None

    def _tell(self, entries: Sequence[Entry], pending: int) -> None:
        if self.delivered == len(entries) and not self.candidate:
            self._sink.expecting(pending + len(entries))
        self._sink.entries(entries)

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
                self._handled -= 1
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
        self.fail(f"bucket {self._bucket.value}: {reason}")


def no_delivery(reply: bytes) -> str:
    return f"a message that no consumer sent: reply {reply.decode(errors='replace')[:100]!a}"
