"""A word about a desired state that was never stored, on a subject on which agents may hear it.

told      published on the subject to which the bucket republishes: a replay, a gateway, somebody's shell
refused   published to the bucket itself at a revision that is not there: the server stores nothing, but whoever
          listens on the bucket's own subject hears it
"""

from typing import Final, Literal

from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.client import JetStreamContext
from nats.js.errors import APIError

from fleet.wire import Bucket, Pair, desired_key, desired_subject, kv_subject, stream_name
from harness.errors import ServiceError
from harness.faults import streams
from harness.faults.fault import Fault

Way = Literal["told", "refused"]

_HEARD_WITHIN_S: Final = 5.0
_EXPECTED: Final = "Nats-Expected-Last-Subject-Sequence"
# No bucket of a test comes that far.
_NO_REVISION: Final = str(2**52)


class UnstoredWord(Fault):
    """One message, at once; nothing is left to heal."""

    name = "unstored-word"

    def __init__(self, js: JetStreamContext, pair: Pair, value: bytes | None, way: Way = "told") -> None:
        """`value` None is a delete marker. `js` is of a connection that no fault touches."""
        self.target = f"{way} {desired_key(pair)}"
        self._js = js
        self._pair = pair
        self._value = value
        self._way = way
        self._heard = False
        self._revision = 0

    async def apply(self) -> None:
        client: Client = self._js._nc  # noqa: SLF001 - the context keeps its client to itself
        self._revision = await self._stored()
        subject = self._subject
        listening = await client.subscribe(subject)
        try:
            # A round trip behind the subscription. A flush would not do: its ping overtakes that.
            await self._stored()
            await self._publish(client, subject)
            await listening.next_msg(timeout=_HEARD_WITHIN_S)
            self._heard = True
        except NatsTimeoutError:
            """The proof says so."""
        finally:
            await listening.unsubscribe()

    async def prove_active(self) -> str:
        if not self._heard:
            raise ServiceError(f"nobody heard a word on {self._subject}")
        if (now := await self._stored()) != self._revision:
            raise ServiceError(f"revision {now} was stored since, and {self._revision} before")
        return f"heard on {self._subject}, and {self._revision or 'nothing'} is what is stored, as before"

    async def heal(self) -> None:
        """There is nothing to undo."""

    async def prove_healed(self) -> str:
        if not self._heard:
            raise ServiceError(f"nobody heard a word on {self._subject}")
        return "it was one message"

    @property
    def _subject(self) -> str:
        if self._way == "told":
            return desired_subject(self._pair)
        return kv_subject(Bucket.DESIRED_STATE, desired_key(self._pair))

    async def _publish(self, client: Client, subject: str) -> None:
        """Raises ServiceError if the server stored what it was to refuse."""
        headers = {} if self._value is not None else {"KV-Operation": "DEL"}
        if self._way == "told":
            await client.publish(subject, self._value or b"", headers=headers or None)
            return
        try:
            await self._js.publish(
                subject,
                self._value or b"",
                stream=stream_name(Bucket.DESIRED_STATE),
                headers={**headers, _EXPECTED: _NO_REVISION},
            )
        except APIError:
            return
        raise ServiceError(f"{self.target}: the server stored what it was to refuse")

    async def _stored(self) -> int:
        """The bucket's last revision, 0 without a bucket."""
        found = await streams.look(self._js, Bucket.DESIRED_STATE)
        return 0 if found is None else found.last_seq
