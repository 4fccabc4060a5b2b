"""A bucket loses what it held, with the broker running: deleted, made again by somebody else, purged.

An operator that is up may have mended it before anybody can look. So nothing is proved by what is missing: the broker
itself says that the stream is another one now, or how many messages it purged.
"""

from abc import abstractmethod
from collections.abc import Sequence

from nats.js.client import JetStreamContext

from fleet.wire import Bucket
from harness.errors import ServiceError
from harness.faults import streams
from harness.faults.buckets import Otherwise, config_of, honouring
from harness.faults.fault import Fault
from harness.faults.streams import Held
from harness.wait import wait_for

REFILLED_WITHIN_S = 10.0
# The operator, too, makes a bucket again as soon as it is gone.
_ATTEMPTS_MAX = 20


class BucketLoss(Fault):
    """What these faults have in common. They are healed by the operator and by the devices, not here."""

    def __init__(self, js: JetStreamContext, buckets: Sequence[Bucket]) -> None:
        self.target = ", ".join(buckets)
        self._js = js
        self._buckets = buckets
        self._before: dict[Bucket, Held] = {}

    async def apply(self) -> None:
        for bucket in self._buckets:
            found = await streams.look(self._js, bucket)
            if found is not None:
                self._before[bucket] = found
        for bucket in self._before:
            await self._take(bucket)

    @abstractmethod
    async def _take(self, bucket: Bucket) -> None:
        """Raises ServiceError if it cannot be done."""

    async def prove_active(self) -> str:
        if self._before.keys() != set(self._buckets):
            raise ServiceError(f"nothing was taken from all of {self.target}")
        return "; ".join([await self._proof(bucket, before) for bucket, before in self._before.items()])

    async def _proof(self, bucket: Bucket, before: Held) -> str:
        found = await streams.look(self._js, bucket)
        if found is not None and found.created == before.created:
            raise ServiceError(f"{bucket} is the one that it was")
        return f"{bucket} of {before.created} with {before.messages} messages is gone"

    async def heal(self) -> None:
        """The operator is to make it again and to fill it, or to ask the devices to."""

    async def prove_healed(self) -> str:
        """As many keys as before are there again."""

        async def probe() -> str | None:
            held = {bucket: await streams.look(self._js, bucket) for bucket in self._buckets}
            fewer = [
                f"{bucket} holds {found.messages if found else 'nothing'}"
                for bucket, found in held.items()
                if found is None or found.messages < self._before[bucket].messages
            ]
            if fewer:
                raise ServiceError(", ".join(fewer))
            return f"{self.target}: there, with as many keys as before"

        if self._before.keys() != set(self._buckets):
            raise ServiceError("nobody knows what they held before")
        what = f"{self.target} to be filled again"
        return await wait_for(what, probe, deadline_s=REFILLED_WITHIN_S, expect=(ServiceError,), interval_s=0.1)


class BucketsDeleted(BucketLoss):
    """Somebody deletes the streams."""

    name = "buckets-deleted"

    async def _take(self, bucket: Bucket) -> None:
        await streams.delete(self._js, bucket)


class BucketsRecreated(BucketLoss):
    """Somebody deletes the streams and makes empty ones, as the contract has them or in a way of his own."""

    name = "buckets-recreated"

    def __init__(self, js: JetStreamContext, buckets: Sequence[Bucket], otherwise: Otherwise | None = None) -> None:
        super().__init__(js, buckets)
        self._otherwise = otherwise

    async def _take(self, bucket: Bucket) -> None:
        config = honouring(bucket) if self._otherwise is None else config_of(bucket, self._otherwise)
        for _ in range(_ATTEMPTS_MAX):
            await streams.delete(self._js, bucket)
            try:
                await streams.make(self._js, config)
            except ServiceError:
                continue
            return
        raise ServiceError(f"{bucket}: somebody else was faster {_ATTEMPTS_MAX} times")


class BucketsPurged(BucketLoss):
    """Somebody purges the streams: wholly, or the `tail` keys that were written last. No marker tells of it."""

    name = "buckets-purged"

    def __init__(self, js: JetStreamContext, buckets: Sequence[Bucket], tail: int | None = None) -> None:
        super().__init__(js, buckets)
        self._tail = tail
        self._purged: dict[Bucket, int] = {}

    async def _take(self, bucket: Bucket) -> None:
        if self._tail is None:
            self._purged[bucket] = await streams.purge(self._js, bucket)
            return
        keys = await streams.newest_keys(self._js, bucket, self._tail)
        self._purged[bucket] = sum([await streams.purge(self._js, bucket, key) for key in keys])

    async def _proof(self, bucket: Bucket, before: Held) -> str:
        """What is written all the time looks full again at once, so the broker's answer to the purge is asked."""
        wanted = before.messages if self._tail is None else min(self._tail, before.messages)
        purged = self._purged.get(bucket, 0)
        if not wanted or purged < wanted:
            raise ServiceError(f"{purged} messages of {bucket} were purged, not {wanted}")
        return f"the broker purged {purged} of {before.messages} messages of {bucket}"
