"""Sees each message that the broker stored in desired-state, and reads how far each stream has come.

It listens on the subject that the bucket republishes to (docs/contract.md): there comes only what was stored, delete
markers too, and one can listen before the bucket exists. The stream's own counters say whether something was missed.

    stored -> republished -> KvEntry          what came while the server was away is read from the stream afterwards
    asked at a mark -> StreamState, KeysLost  no message tells of keys that vanish with a stream or a purge
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket, kv_subject, stream_name
from harness.errors import ServiceError, WaitTimeout
from harness.history import KeysLost, KvEntry, Recorder, StreamState
from harness.services.nats_client import HarnessClient, close_client, connecting
from harness.wait import wait_for

ANSWER_WITHIN_S = 5.0
SEEN_WITHIN_S = 2.0
# Sooner than an operator would: what is stored before we are back has to be read afterwards.
_RECONNECT_EVERY_S = 0.02
_DELETED = frozenset({"DEL", "PURGE"})


class BucketObserver:
    """Owns one NATS connection; `close` it."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self.client = client
        self._recorder = recorder
        # Revision -> when the broker stored it, in Unix seconds: a bucket that is made again may reuse revisions.
        self._seen: dict[int, float] = {}
        # Key -> revision, of what desired-state holds as far as we saw it.
        self._held: dict[str, int] = {}
        # The newest message that was seen: its revision, and when the broker stored it.
        self._newest = (0, 0.0)
        # That one, as the connection was lost: what was stored until it came back was republished to nobody.
        self._missed_after: tuple[int, float] | None = None
        # A write that no republish tells of (the bucket is not as it should be) is waited for only once.
        self._given_up = 0

    @classmethod
    async def start(cls, url: str, recorder: Recorder) -> Self:
        """Raises ServiceError if no broker answers there."""
        client = HarnessClient()
        observer = cls(client, recorder)
        who, lost = "the witness of the buckets", observer._disconnected
        async with connecting(client, url, who, reconnect_every_s=_RECONNECT_EVERY_S, lost=lost):
            await client.subscribe(f"{DESIRED_SUBJECT_PREFIX}.>", cb=observer._republished)
            # Its answer comes after the subscription is there. A flush would not do: its ping overtakes that.
            await observer._info(Bucket.DESIRED_STATE)
        return observer

    async def close(self) -> None:
        await close_client(self.client)

    async def drain(self) -> None:
        """On return, whatever the broker stored before the call has been seen, if the bucket republishes it.

        The broker republishes apart from its answer to the writer, so a round trip on our connection proves nothing:
        its own counter says what is to come. Raises ServiceError if it does not answer.
        """
        info = await self._info(Bucket.DESIRED_STATE)
        if info is None or not info.state.messages or info.config.republish is None:
            return
        if self._missed_after is not None:
            missed_after, self._missed_after = self._missed_after, None
            await self._read_missed(info, missed_after)
        newest, made_s = info.state.last_seq, _made_s(info)
        if newest == self._given_up:
            return
        try:
            await wait_for(
                f"the witness to see write {newest}",
                lambda: True if self._seen.get(newest, 0.0) >= made_s else None,
                deadline_s=SEEN_WITHIN_S,
                interval_s=0.005,
            )
        except WaitTimeout:
            # The checks compare the counters themselves and say that something was missed.
            self._given_up = newest

    async def stream_state(self, bucket: Bucket) -> StreamState | None:
        """Read and record how far a bucket's stream has come; None if there is no such bucket.

        Keys of desired-state that are not there any more, without a delete marker, are recorded as lost. Raises
        ServiceError if the broker does not answer.
        """
        info = await self._info(bucket)
        if bucket is Bucket.DESIRED_STATE and (info.state.messages if info else 0) != len(self._held):
            await self._look_for_lost()
        if info is None:
            return None
        state = StreamState(
            at_s=self._recorder.now_s,
            bucket=bucket.value,
            created_at=str(info.created),
            first_seq=info.state.first_seq,
            last_seq=info.state.last_seq,
            messages=info.state.messages,
            consumers=info.state.consumer_count,
            storage=str(getattr(info.config.storage, "value", info.config.storage)),
            history_per_key=info.config.max_msgs_per_subject,
            republished_to=info.config.republish.dest if info.config.republish else None,
        )
        self._recorder.add(state)
        return state

    async def _look_for_lost(self) -> None:
        """Ask for the keys that are there; what we saw stored before and is not among them is lost."""
        held = set(self._held)
        info = await self._info(Bucket.DESIRED_STATE, subjects=">")
        prefix = kv_subject(Bucket.DESIRED_STATE, "")
        there = {subject.removeprefix(prefix) for subject in (info.state.subjects or {})} if info else set[str]()
        lost = sorted(held - there)
        if lost:
            for key in lost:
                self._held.pop(key, None)
            self._recorder.add(KeysLost(at_s=self._recorder.now_s, bucket=Bucket.DESIRED_STATE.value, keys=tuple(lost)))

    async def _read_missed(self, info: StreamInfo, missed_after: tuple[int, float]) -> None:
        """Record what the stream holds and nobody republished to us. What was overwritten meanwhile is not there."""
        js, made_s = self.client.jetstream(timeout=ANSWER_WITHIN_S), _made_s(info)
        revision, stored_s = missed_after
        after = revision if stored_s >= made_s else info.state.first_seq - 1
        while after < info.state.last_seq:
            try:
                found = await js.get_msg(stream_name(Bucket.DESIRED_STATE), seq=after + 1, subject=">", next=True)
            except NotFoundError:
                return
            except NatsError as e:
                raise ServiceError(f"{Bucket.DESIRED_STATE}: the broker does not show what it stored: {e}") from e
            if found.seq is None or found.subject is None or found.time is None:
                raise ServiceError(f"{Bucket.DESIRED_STATE}: a message without revision, subject or time")
            after, key = found.seq, found.subject.removeprefix(kv_subject(Bucket.DESIRED_STATE, ""))
            known = self._held.get(key, 0)
            previous = known if known < after and self._seen.get(known, 0.0) >= made_s else 0
            value, stored_s = found.data or b"", found.time.timestamp()
            self._store(key, found.headers or {}, value, revision=after, previous=previous, stored_s=stored_s)

    async def _info(self, bucket: Bucket, subjects: str | None = None) -> StreamInfo | None:
        try:
            js = self.client.jetstream(timeout=ANSWER_WITHIN_S)
            return await js.stream_info(stream_name(bucket), subjects_filter=subjects)
        except NotFoundError:
            return None
        except NatsError as e:
            raise ServiceError(f"{bucket}: the broker does not answer its witness: {str(e) or type(e).__name__}") from e

    async def _disconnected(self) -> None:
        if self._missed_after is None:
            self._missed_after = self._newest

    async def _republished(self, message: Msg) -> None:
        headers = message.headers or {}
        if "Nats-Sequence" not in headers:
            # Somebody's own word: what the broker republishes has its revision with it.
            return
        key = message.subject.removeprefix(f"{DESIRED_SUBJECT_PREFIX}.")
        revision, previous = int(headers["Nats-Sequence"]), int(headers.get("Nats-Last-Sequence", "0"))
        stamp = headers.get("Nats-Time-Stamp")
        stored_s = datetime.fromisoformat(stamp).timestamp() if stamp else None
        self._store(key, headers, message.data, revision=revision, previous=previous, stored_s=stored_s)

    def _store(
        self,
        key: str,
        headers: Mapping[str, str],
        value: bytes,
        *,
        revision: int,
        previous: int,
        stored_s: float | None,
    ) -> None:
        """Record a message, once: one that was read may still be on its way to us."""
        if stored_s is not None and self._seen.get(revision) == stored_s:
            return
        self._seen[revision] = math.inf if stored_s is None else stored_s
        self._newest = (revision, self._seen[revision])
        self._held[key] = revision
        self._recorder.add(
            KvEntry(
                at_s=self._recorder.now_s,
                bucket=Bucket.DESIRED_STATE.value,
                key=key,
                operation="delete" if headers.get("KV-Operation") in _DELETED else "put",
                revision=revision,
                previous=previous,
                value=value.decode(errors="replace"),
                stored_s=None if stored_s is None else self._recorder.at_wall(stored_s),
            )
        )


def _made_s(info: StreamInfo) -> float:
    """Unix seconds."""
    return datetime.fromisoformat(str(info.created)).timestamp() if info.created else 0.0
