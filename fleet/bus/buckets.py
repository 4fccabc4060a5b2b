"""Creates the buckets and mends their configuration: the operator alone does this; agents wait (docs/contract.md).

A stream starts at `first_seq` = Unix time in microseconds, so that a bucket which is deleted and made
again never reuses a revision that somebody may still hold.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nats.js.api import DiscardPolicy, RePublish, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError

from fleet.bus.connection import nats_errors
from fleet.errors import PeerRefused
from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket, kv_subject, stream_name

MESSAGE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class BucketReport:
    """What `ensure` did, and what it could not change."""

    bucket: Bucket
    created: bool
    mended: tuple[str, ...]
    problems: tuple[str, ...]


def wanted_config(bucket: Bucket, *, first_seq: int) -> StreamConfig:
    """The stream behind `bucket`, as docs/contract.md has it."""
    republish = None
    if bucket is Bucket.DESIRED_STATE:
        republish = RePublish(src=kv_subject(bucket, ">"), dest=f"{DESIRED_SUBJECT_PREFIX}.>")
    return StreamConfig(
        name=stream_name(bucket),
        subjects=[kv_subject(bucket, ">")],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_msgs_per_subject=1,
        max_msg_size=MESSAGE_BYTES_MAX,
        num_replicas=1,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
        republish=republish,
        first_seq=first_seq,
    )


async def ensure(js: JetStreamContext, bucket: Bucket) -> BucketReport:
    """Create the bucket, or mend what can be changed of an existing one. What it holds is never touched.

    Raises PeerAway, or PeerRefused if the existing stream cannot serve as this bucket.
    """
    what = f"bucket {bucket.value}"
    with nats_errors(what):
        existing = await _existing(js, bucket)
        if existing is None:
            try:
                await js.add_stream(wanted_config(bucket, first_seq=time.time_ns() // 1000))
            except APIError:
                # Another operator may have been faster; then there is one to look at now.
                existing = await _existing(js, bucket)
                if existing is None:
                    raise
            else:
                return BucketReport(bucket, created=True, mended=(), problems=())
        return await _mend(js, bucket, existing)


async def _existing(js: JetStreamContext, bucket: Bucket) -> StreamConfig | None:
    try:
        return (await js.stream_info(stream_name(bucket))).config
    except NotFoundError:
        return None


async def _mend(js: JetStreamContext, bucket: Bucket, existing: StreamConfig) -> BucketReport:
    wanted = wanted_config(bucket, first_seq=0)
    if existing.subjects != wanted.subjects:
        raise PeerRefused(
            f"stream {wanted.name} exists and listens on {existing.subjects}, not on {wanted.subjects}: "
            "another program uses the name; give the fleet a NATS account of its own"
        )
    changes: dict[str, object] = {}
    for field in ("max_msgs_per_subject", "republish", "allow_direct", "allow_rollup_hdrs", "discard", "max_msg_size"):
        if getattr(existing, field) != getattr(wanted, field):
            changes[field] = getattr(wanted, field)
    problems: list[str] = []
    if existing.storage != wanted.storage:
        problems.append(f"bucket {bucket.value} is stored in {_value(existing.storage)}, not in file")
    if existing.retention != wanted.retention:
        problems.append(f"bucket {bucket.value} has retention {_value(existing.retention)}, not limits")
    if existing.max_age:
        changes["max_age"] = 0
    if changes:
        await js.update_stream(replace(existing, **changes))  # type: ignore[arg-type] # by name
    return BucketReport(bucket, created=False, mended=tuple(sorted(changes)), problems=tuple(problems))


def _value(option: object) -> str:
    return str(getattr(option, "value", option))


async def ensure_all(js: JetStreamContext, buckets: Sequence[Bucket] = tuple(Bucket)) -> list[BucketReport]:
    return [await ensure(js, bucket) for bucket in buckets]
