"""Buckets that are not there, or that somebody made in another way than the contract has it."""

import contextlib
from collections.abc import Iterator, Sequence

from nats.errors import Error as NatsError
from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import NotFoundError

from fleet.wire import Bucket, kv_subject, stream_name
from harness.errors import ServiceError
from harness.faults.fault import Fault


class BucketsMissing(Fault):
    """A broker on which some buckets do not exist: a fresh one, or one whose streams are deleted here."""

    name = "buckets-missing"

    def __init__(self, js: JetStreamContext, buckets: Sequence[Bucket]) -> None:
        self.target = ", ".join(buckets)
        self._js = js
        self._buckets = buckets

    async def apply(self) -> None:
        for bucket in self._buckets:
            if await _config(self._js, bucket) is not None:
                with _explained(f"{bucket} cannot be deleted"):
                    await self._js.delete_stream(stream_name(bucket))

    async def prove_active(self) -> str:
        there = [bucket for bucket in self._buckets if await _config(self._js, bucket) is not None]
        if there:
            raise ServiceError(f"still there: {', '.join(there)}")
        return "the broker knows none of them"

    async def heal(self) -> None:
        """The operator is to make them."""

    async def prove_healed(self) -> str:
        missing = [bucket for bucket in self._buckets if await _config(self._js, bucket) is None]
        if missing:
            raise ServiceError(f"still missing: {', '.join(missing)}")
        return "the broker has all of them"


class BucketOtherwise(Fault):
    """A bucket as an administrator or an older version made it: five values per key, nothing republished."""

    name = "bucket-otherwise"

    def __init__(self, js: JetStreamContext, bucket: Bucket) -> None:
        self.target = bucket.value
        self._js = js
        self._bucket = bucket

    async def apply(self) -> None:
        config = StreamConfig(
            name=stream_name(self._bucket),
            subjects=[kv_subject(self._bucket, ">")],
            max_msgs_per_subject=5,
            allow_rollup_hdrs=True,
            deny_delete=True,
            allow_direct=False,
        )
        with _explained(f"{self._bucket} cannot be made otherwise"):
            await self._js.add_stream(config)

    async def prove_active(self) -> str:
        config = await _config(self._js, self._bucket)
        if config is None or config.max_msgs_per_subject == 1:
            raise ServiceError(f"{self._bucket} is not as it was made")
        return f"{self._bucket} keeps {config.max_msgs_per_subject} values per key"

    async def heal(self) -> None:
        """The operator is to mend it."""

    async def prove_healed(self) -> str:
        config = await _config(self._js, self._bucket)
        if config is None or config.max_msgs_per_subject != 1:
            raise ServiceError(f"{self._bucket} was not mended")
        return f"{self._bucket} keeps one value per key"


async def _config(js: JetStreamContext, bucket: Bucket) -> StreamConfig | None:
    try:
        with _explained(f"{bucket} cannot be looked at"):
            return (await js.stream_info(stream_name(bucket))).config
    except NotFoundError:
        return None


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raises ServiceError for what the broker refused or did not answer. That a bucket is not there is an answer."""
    try:
        yield
    except NotFoundError:
        raise
    except NatsError as e:
        raise ServiceError(f"{what}: {str(e) or type(e).__name__}") from e
