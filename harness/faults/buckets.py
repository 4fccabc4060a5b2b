"""Buckets that are not there, or that somebody made in another way than the contract has it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

from nats.js.api import RePublish, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket, kv_subject, stream_name
from harness.errors import ServiceError, WaitTimeout
from harness.faults import streams
from harness.faults.fault import Fault
from harness.wait import wait_for

Otherwise = Literal["plain", "memory", "other-subjects", "few-keys"]
"""How somebody else makes a bucket: five values per key and nothing republished, as an older version did; in memory;
for other subjects, as another program of that name; with room for a few keys only."""

_FEW = 4
MENDED_WITHIN_S = 15.0

Maker = Callable[[], Awaitable[object]]
"""Starts an operator, where none runs."""


class BucketsMissing(Fault):
    """A broker on which some buckets do not exist: a fresh one, or one whose streams are deleted here."""

    name = "buckets-missing"

    def __init__(self, js: JetStreamContext, buckets: Sequence[Bucket], maker: Maker | None = None) -> None:
        self.target = ", ".join(buckets)
        self._js = js
        self._buckets = buckets
        self._maker = maker

    async def apply(self) -> None:
        for bucket in self._buckets:
            await streams.delete(self._js, bucket)

    async def prove_active(self) -> str:
        there = [bucket for bucket in self._buckets if await streams.look(self._js, bucket) is not None]
        if there:
            raise ServiceError(f"still there: {', '.join(there)}")
        return "the broker knows none of them"

    async def heal(self) -> None:
        """The operator is to make them; one that runs has begun already."""
        if self._maker is not None:
            await self._maker()

    async def prove_healed(self) -> str:
        async def probe() -> str:
            missing = [bucket for bucket in self._buckets if await streams.look(self._js, bucket) is None]
            if missing:
                raise ServiceError(f"still missing: {', '.join(missing)}")
            return "the broker has all of them"

        return await _in_time(self.target, probe)


class BucketOtherwise(Fault):
    """A bucket as an administrator, an older version or another program made it, in place of one that was there."""

    name = "bucket-otherwise"

    def __init__(
        self, js: JetStreamContext, bucket: Bucket, otherwise: Otherwise = "plain", mender: Maker | None = None
    ) -> None:
        self.target = bucket.value
        self._js = js
        self._bucket = bucket
        self._otherwise = otherwise
        self._mender = mender
        # By the broker, of the one that was made here.
        self._created: str | None = None

    async def apply(self) -> None:
        await streams.delete(self._js, self._bucket)
        self._created = await streams.make(self._js, config_of(self._bucket, self._otherwise))

    async def prove_active(self) -> str:
        found = await streams.look(self._js, self._bucket)
        # Whoever mends its settings leaves its creation time alone.
        if self._created is None or found is None or found.created != self._created:
            raise ServiceError(f"{self._bucket} is not the one that was made here")
        return f"{self._bucket} was made {self._otherwise} at {self._created}"

    async def heal(self) -> None:
        """The operator is to mend what can be mended; one that runs has begun already."""
        if self._mender is not None:
            await self._mender()

    async def prove_healed(self) -> str:
        async def probe() -> str:
            found = await streams.look(self._js, self._bucket)
            if found is None or (wrong := _wrong(self._bucket, found.config)):
                raise ServiceError(f"{self._bucket} was not mended: {wrong if found else 'it is not there'}")
            return f"{self._bucket} is as the contract has it"

        return await _in_time(self.target, probe)


class RevisionsFrom(Fault):
    """A bucket as the contract has it, but for its first revision: one whose numbers have come far."""

    name = "revisions-from"

    def __init__(
        self, js: JetStreamContext, bucket: Bucket, first_seq: int, storage: Literal["file", "memory"] = "file"
    ) -> None:
        self.target = bucket.value
        self._js = js
        self._bucket = bucket
        self._first_seq = first_seq
        self._storage = StorageType(storage)

    async def apply(self) -> None:
        config = honouring(self._bucket)
        config.first_seq, config.storage = self._first_seq, self._storage
        await streams.delete(self._js, self._bucket)
        await streams.make(self._js, config)

    async def prove_active(self) -> str:
        found = await streams.look(self._js, self._bucket)
        if found is None or found.first_seq < self._first_seq or found.config.storage != self._storage:
            raise ServiceError(f"{self._bucket} does not begin at revision {self._first_seq} in {self._storage.value}")
        return f"{self._bucket} begins at revision {found.first_seq}, stored in {self._storage.value}"

    async def heal(self) -> None:
        """Nothing heals it but another bucket, which is the operator's to make."""
        await streams.delete(self._js, self._bucket)

    async def prove_healed(self) -> str:
        found = await streams.look(self._js, self._bucket)
        if found is not None and found.first_seq >= self._first_seq:
            raise ServiceError(f"{self._bucket} is still the one with these revisions")
        return f"{self._bucket} with these revisions is gone"


async def _in_time(what: str, probe: Callable[[], Awaitable[str]]) -> str:
    try:
        return await wait_for(f"{what} to be mended", probe, deadline_s=MENDED_WITHIN_S, expect=(ServiceError,))
    except WaitTimeout as e:
        # What was seen last says it best.
        raise e.__cause__ if isinstance(e.__cause__, ServiceError) else e from None


def honouring(bucket: Bucket) -> StreamConfig:
    """The stream behind a bucket as the contract has it, without a first revision of its own."""
    republish = None
    if bucket is Bucket.DESIRED_STATE:
        republish = RePublish(src=kv_subject(bucket, ">"), dest=f"{DESIRED_SUBJECT_PREFIX}.>")
    return StreamConfig(
        name=stream_name(bucket),
        subjects=[kv_subject(bucket, ">")],
        max_msgs_per_subject=1,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
        republish=republish,
    )


def config_of(bucket: Bucket, otherwise: Otherwise) -> StreamConfig:
    """The stream as somebody else makes it."""
    config = honouring(bucket)
    match otherwise:
        case "plain":
            config.max_msgs_per_subject, config.republish, config.allow_direct = 5, None, False
        case "memory":
            config.storage = StorageType.MEMORY
        case "other-subjects":
            config.subjects = [f"elsewhere.{bucket.value}.>"]
            config.republish = None
        case "few-keys":
            config.max_msgs = _FEW
    return config


def _wrong(bucket: Bucket, config: StreamConfig) -> str:
    """What is not as the contract has it; empty if nothing is."""
    wanted = honouring(bucket)
    settings = {
        "values per key": (config.max_msgs_per_subject, wanted.max_msgs_per_subject),
        "subjects": (config.subjects, wanted.subjects),
        "republished": (config.republish, wanted.republish),
        "stored in": (config.storage, StorageType.FILE),
        "retention": (config.retention, RetentionPolicy.LIMITS),
    }
    return ", ".join(f"{name} {is_}" for name, (is_, should) in settings.items() if is_ != should)
