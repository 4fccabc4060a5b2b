"""Sees each message that the broker stored in desired-state, and reads how far each stream has come.

It listens on the subject that the bucket republishes to (docs/contract.md): there comes only what was stored, delete
markers too, and one can listen before the bucket exists. The stream's own counters say whether something was missed.
"""

from typing import Self

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import NotFoundError

from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket, stream_name
from harness.history import KvEntry, Recorder, StreamState

CONNECT_WITHIN_S = 5


class BucketObserver:
    """Owns one NATS connection; `close` it."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self.client = client
        self._recorder = recorder

    @classmethod
    async def start(cls, url: str, recorder: Recorder) -> Self:
        client = await nats.connect(url, name="fleetproof-observer", connect_timeout=CONNECT_WITHIN_S)
        observer = cls(client, recorder)
        await client.subscribe(f"{DESIRED_SUBJECT_PREFIX}.>", cb=observer._republished)
        await client.flush()
        return observer

    async def close(self) -> None:
        await self.client.close()

    async def drain(self) -> None:
        """On return, whatever the broker stored before the call has been seen."""
        await self.client.flush()

    async def stream_state(self, bucket: Bucket) -> StreamState | None:
        """Read and record how far a bucket's stream has come; None if there is no such bucket."""
        try:
            info = await self.client.jetstream().stream_info(stream_name(bucket))
        except NotFoundError:
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

    async def _republished(self, message: Msg) -> None:
        headers = message.headers or {}
        self._recorder.add(
            KvEntry(
                at_s=self._recorder.now_s,
                bucket=Bucket.DESIRED_STATE.value,
                key=message.subject.removeprefix(f"{DESIRED_SUBJECT_PREFIX}."),
                operation="delete" if headers.get("KV-Operation") in {"DEL", "PURGE"} else "put",
                revision=int(headers.get("Nats-Sequence", "0")),
                previous=int(headers.get("Nats-Last-Sequence", "0")),
                value=message.data.decode(errors="replace"),
            )
        )
