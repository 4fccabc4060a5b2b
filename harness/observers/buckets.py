"""Sees each message that the broker stored in desired-state, and reads how far each stream has come.

It listens on the subject that the bucket republishes to (docs/contract.md): there comes only what was stored, delete
markers too, and one can listen before the bucket exists. The stream's own counters say whether something was missed.
"""

import asyncio
from datetime import datetime
from typing import Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket, stream_name
from harness.errors import ServiceError, WaitTimeout
from harness.history import KvEntry, Recorder, StreamState
from harness.services.nats_client import close_client
from harness.wait import wait_for

CONNECT_WITHIN_S = 5.0
ANSWER_WITHIN_S = 5.0
SEEN_WITHIN_S = 2.0


class BucketObserver:
    """Owns one NATS connection; `close` it."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self.client = client
        self._recorder = recorder
        self._newest = 0
        # A write that no republish tells of (the bucket is not as it should be) is waited for only once.
        self._given_up = 0

    @classmethod
    async def start(cls, url: str, recorder: Recorder) -> Self:
        """Raises ServiceError if no broker answers there."""
        client = Client()
        observer = cls(client, recorder)
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await client.connect(url, name="fleetproof-observer")
                await client.subscribe(f"{DESIRED_SUBJECT_PREFIX}.>", cb=observer._republished)
                await client.flush()
        except (NatsError, OSError) as e:
            await observer.close()
            raise ServiceError(f"the witness of the buckets: no broker at {url}: {str(e) or type(e).__name__}") from e
        except BaseException:
            await observer.close()
            raise
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
        newest = info.state.last_seq
        if newest == self._given_up:
            return
        try:
            await wait_for(
                f"the witness to see write {newest}",
                lambda: True if self._newest >= newest else None,
                deadline_s=SEEN_WITHIN_S,
                interval_s=0.005,
            )
        except WaitTimeout:
            # The checks compare the counters themselves and say that something was missed.
            self._given_up = newest

    async def stream_state(self, bucket: Bucket) -> StreamState | None:
        """Read and record how far a bucket's stream has come; None if there is no such bucket.

        Raises ServiceError if the broker does not answer.
        """
        info = await self._info(bucket)
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

    async def _info(self, bucket: Bucket) -> StreamInfo | None:
        try:
            return await self.client.jetstream(timeout=ANSWER_WITHIN_S).stream_info(stream_name(bucket))
        except NotFoundError:
            return None
        except NatsError as e:
            raise ServiceError(f"{bucket}: the broker does not answer its witness: {str(e) or type(e).__name__}") from e

    async def _republished(self, message: Msg) -> None:
        headers = message.headers or {}
        self._newest = int(headers.get("Nats-Sequence", "0"))
        stamp = headers.get("Nats-Time-Stamp")
        self._recorder.add(
            KvEntry(
                at_s=self._recorder.now_s,
                bucket=Bucket.DESIRED_STATE.value,
                key=message.subject.removeprefix(f"{DESIRED_SUBJECT_PREFIX}."),
                operation="delete" if headers.get("KV-Operation") in {"DEL", "PURGE"} else "put",
                revision=self._newest,
                previous=int(headers.get("Nats-Last-Sequence", "0")),
                value=message.data.decode(errors="replace"),
                stored_s=self._recorder.at_wall(datetime.fromisoformat(stamp).timestamp()) if stamp else None,
            )
        )
