"""Entries that somebody wrote into a bucket by hand: bytes nobody understands, keys that name nothing, wrong times."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping

from nats.errors import Error as NatsError
from nats.js.api import RawStreamMsg
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.wire import Bucket, kv_subject, stream_name
from harness.errors import ServiceError, WaitTimeout
from harness.faults.fault import Fault
from harness.history import HAND, KvEntry, Op, Recorder
from harness.wait import wait_for

NOT_UTF_8 = "not UTF-8: "
HEALED_WITHIN_S = 10.0
CUT_SHORT = "… cut short here"
_DETAIL_CHARS_MAX = 4096
_SEEN_WITHIN_S = 2.0
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"


async def by_itself() -> None:
    """A cure that is somebody else's: the operator's, or the device's own next word."""


class PlantedEntries(Fault):
    """Values under keys of one bucket, put there at once and whatever was there before.

    What was written stands in the history as the hand's own operations, by the whole key.
    """

    name = "malformed-entry"

    def __init__(
        self,
        js: JetStreamContext,
        recorder: Recorder,
        bucket: Bucket,
        values: Mapping[str, bytes],
        *,
        cure: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`cure` makes the keys good again, or leaves that to whoever does it; without it the hand deletes them."""
        self.target = bucket.value
        self.revisions: dict[str, int] = {}
        self._js = js
        self._recorder = recorder
        self._bucket = bucket
        self._values = dict(values)
        self._cure = cure

    async def apply(self) -> None:
        await asyncio.gather(*(self._put(key, value) for key, value in self._values.items()))

    async def prove_active(self) -> str:
        """Each is read back at its revision. One that was replaced since is seen by the witness, if there is one."""
        replaced = 0
        for key, value in self._values.items():
            message = await self._standing(key)
            if message is None:
                await self._witnessed(key, value)
                replaced += 1
            elif (message.data or b"") != value:
                raise ServiceError(f"{self.target}: {key} does not hold what was written")
        found = f"{len(self._values)} entries are stored as they were written"
        return f"{found}, {replaced} of them replaced since" if replaced else found

    async def heal(self) -> None:
        if self._cure is not None:
            await self._cure()
            return
        for key, revision in self.revisions.items():
            if await self._standing(key) is not None:
                await self._write("delete", key, b"", {"KV-Operation": "DEL", _EXPECTED: str(revision)})

    async def prove_healed(self) -> str:
        left: list[str] = []

        async def gone() -> bool | None:
            left[:] = [key for key in self._values if await self._standing(key) is not None]
            return None if left else True

        try:
            await wait_for("the entries to be replaced", gone, deadline_s=HEALED_WITHIN_S)
        except WaitTimeout as e:
            raise ServiceError(f"{self.target}: {len(left)} entries stand as they were written, e.g. {left[0]}") from e
        return f"none of {len(self._values)} entries stands any more"

    async def look(self) -> None:
        """Write down which entries stand as they were written: at their revision, or at none."""
        for key in self.revisions:
            invoked_s = self._recorder.now_s
            message = await self._standing(key)
            self._note("get", key, invoked_s, None if message is None else message.seq)

    async def _standing(self, key: str) -> RawStreamMsg | None:
        """What was written, if it is there still. Read by its revision: a key may hold what a subject cannot name."""
        revision = self.revisions.get(key)
        if revision is None:
            raise ServiceError(f"{self.target}: nothing was written under {key}")
        with _explained(f"{self.target}: {key} cannot be read"):
            try:
                message = await self._js.get_msg(stream_name(self._bucket), seq=revision)
            except NotFoundError:
                return None
        return message if message.subject == kv_subject(self._bucket, key) else None

    async def _witnessed(self, key: str, value: bytes) -> None:
        """Returns once the witness has seen an entry that was replaced. Raises HarnessError if it does not."""
        if self._bucket is not Bucket.DESIRED_STATE:
            raise ServiceError(f"{self.target}: {key} is not at the revision at which it was written")
        wanted = (self.target, key, self.revisions[key], value.decode(errors="replace"))

        def probe() -> bool | None:
            entries = (record for record in self._recorder.records if isinstance(record, KvEntry))
            return True if any((e.bucket, e.key, e.revision, e.value) == wanted for e in entries) else None

        await wait_for(f"the witness to see {key} of {self.target}", probe, deadline_s=_SEEN_WITHIN_S)

    async def _put(self, key: str, value: bytes) -> None:
        self.revisions[key] = await self._write("put", key, value, {})

    async def _write(self, action: str, key: str, value: bytes, headers: dict[str, str]) -> int:
        invoked_s = self._recorder.now_s
        with _explained(f"{self.target}: {key} cannot be written"):
            ack = await self._js.publish(
                kv_subject(self._bucket, key), value, stream=stream_name(self._bucket), headers=headers
            )
        self._note(action, key, invoked_s, ack.seq, as_text(value))
        return ack.seq

    def _note(self, action: str, key: str, invoked_s: float, revision: int | None, detail: str = "") -> None:
        self._recorder.add(
            Op(
                at_s=self._recorder.now_s,
                client=HAND,
                action=f"{action} {self.target}",
                target=key,
                invoked_s=invoked_s,
                outcome="ok",
                revision=revision,
                detail=detail,
            )
        )


def as_text(value: bytes) -> str:
    """A value for a line of a history: as it is if it is a text of some length, else as one that is malformed too."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = NOT_UTF_8 + value.decode(errors="backslashreplace")
    return text if len(text) <= _DETAIL_CHARS_MAX else text[:_DETAIL_CHARS_MAX] + CUT_SHORT


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raises ServiceError for what the broker refused or did not answer."""
    try:
        yield
    except NatsError as e:
        raise ServiceError(f"{what}: {str(e) or type(e).__name__}") from e
