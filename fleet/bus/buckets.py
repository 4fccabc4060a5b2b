"""Creates the buckets and mends their configuration: the operator alone does this; agents wait (docs/contract.md).

A stream starts at `first_seq` = Unix time in microseconds, so that a bucket which is deleted and made
again never reuses a revision that somebody may still hold. Its metadata says whose it is: one set of buckets serves
one namespace of one cluster, and an operator of another one writes nothing here.
"""

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import cast

from nats.js.api import DiscardPolicy, RePublish, RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext
from nats.js.errors import APIError

from fleet.bus import api
from fleet.bus.connection import REQUEST_TIMEOUT_S, nats_errors
from fleet.errors import PeerAway, PeerRefused
from fleet.wire import DESIRED_SUBJECT_PREFIX, Bucket, kv_subject, stream_name

MESSAGE_BYTES_MAX = 1 << 20


CLUSTER_METADATA = "fleetproof.dev/cluster"
NAMESPACE_METADATA = "fleetproof.dev/namespace"
_ATTEMPTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose buckets these are: `cluster` is the uid of the cluster's kube-system namespace."""

    cluster: str
    namespace: str

    @property
    def metadata(self) -> dict[str, str]:
        return {CLUSTER_METADATA: self.cluster, NAMESPACE_METADATA: self.namespace}


@dataclass(frozen=True, slots=True)
class BucketReport:
    """What `ensure` did, what it could not change, and the stream as it was afterwards.

    `incarnation` is the server's text of the creation time, to the nanosecond: compare it for equality.
    `created_s` is the same as Unix seconds; `broker_now_s` is the broker's clock, 0.0 if it did not tell.
    """

    bucket: Bucket
    created: bool
    mended: tuple[str, ...]
    problems: tuple[str, ...]
    adopted: bool = False
    emptied: bool = False
    incarnation: str = ""
    created_s: float = 0.0
    broker_now_s: float = 0.0

    @property
    def incomplete(self) -> bool:
        """Whether it may lack what was written: it was made just now or by somebody else, or was purged."""
        return self.created or self.adopted or self.emptied


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


async def check_all(js: JetStreamContext, identity: Identity) -> None:
    """Raises PeerRefused if any of the buckets is another operator's: then none that is missing may be made, either."""
    for bucket in Bucket:
        with nats_errors(f"bucket {bucket.value}"):
            found = await api.stream(js, bucket)
        if found is not None:
            check_identity(bucket, found, identity)


async def ensure(
    js: JetStreamContext, bucket: Bucket, identity: Identity | None = None, *, timeout_s: float = REQUEST_TIMEOUT_S
) -> BucketReport:
    """Create the bucket, or mend what can be changed of an existing one. What it holds is never touched.

    A stream without identity is adopted for `identity`; with None whose it is plays no part.
    Raises PeerAway, or PeerRefused if the existing stream cannot serve as this bucket or is another operator's.
    """
    created = adopted = False
    with nats_errors(f"bucket {bucket.value}"):
        for _ in range(_ATTEMPTS_MAX):
            found = await api.stream(js, bucket, timeout_s=timeout_s)
            if found is None:
                created = await _create(js, bucket, identity)
                continue
            # Whose it is comes first: nothing of somebody else's is mended.
            _check_subjects(bucket, found)
            check_identity(bucket, found, identity)
            if identity is not None and CLUSTER_METADATA not in found.metadata:
                await _update(js, bucket, {"metadata": {**found.metadata, **identity.metadata}})
                adopted = True
                # Read back: another operator may have adopted it in the same moment.
                continue
            report = await _mend(js, bucket, StreamConfig.from_response(deepcopy(found.config)))
            return replace(
                report,
                created=created or report.created,
                adopted=adopted,
                emptied=found.emptied,
                incarnation=found.created,
                created_s=found.created_s,
                broker_now_s=found.now_s,
            )
    raise PeerAway(f"bucket {bucket.value}: it vanishes as often as it is made; somebody else deletes it")


def _check_subjects(bucket: Bucket, found: api.Stream) -> None:
    subjects = found.config.get("subjects")
    if subjects != [kv_subject(bucket, ">")]:
        raise PeerRefused(
            f"stream {stream_name(bucket)} exists and listens on {subjects}, not on {[kv_subject(bucket, '>')]}: "
            "another program uses the name; give the fleet a NATS account of its own"
        )


def check_identity(bucket: Bucket, found: api.Stream, identity: Identity | None) -> None:
    """Raises PeerRefused if the stream says that it belongs to another namespace or cluster."""
    theirs = found.metadata
    cluster, namespace = theirs.get(CLUSTER_METADATA), theirs.get(NAMESPACE_METADATA)
    if (
        identity is None
        or cluster is namespace is None
        or (cluster, namespace) == (identity.cluster, identity.namespace)
    ):
        return
    raise PeerRefused(
        f"bucket {bucket.value} belongs to namespace {namespace} of cluster {cluster}, this operator serves namespace "
        f"{identity.namespace} of cluster {identity.cluster}: nothing is written; give each its own NATS account"
    )


async def _create(js: JetStreamContext, bucket: Bucket, identity: Identity | None) -> bool:
    """Make the stream; False if somebody else was faster, or if it is not there after all."""
    config = wanted_config(bucket, first_seq=time.time_ns() // 1000)
    if identity is not None:
        config = replace(config, metadata=identity.metadata)
    try:
        await js.add_stream(config)
    except APIError:
        # Another operator may have been faster; then there is one to look at now.
        if await api.stream(js, bucket) is None:
            raise
        return False
    return True


async def _mend(js: JetStreamContext, bucket: Bucket, existing: StreamConfig) -> BucketReport:
    wanted = wanted_config(bucket, first_seq=0)
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
        wanted_json = replace(existing, **changes).as_dict()  # type: ignore[arg-type] # by name
        await _update(js, bucket, {field: cast("api.Answer", wanted_json.get(field)) for field in changes})
    return BucketReport(bucket, created=False, mended=tuple(sorted(changes)), problems=tuple(problems))


async def _update(js: JetStreamContext, bucket: Bucket, changes: api.Config) -> None:
    """Change these settings only, whatever else the server knows."""
    current = await api.stream(js, bucket)
    if current is None:
        raise PeerAway(f"bucket {bucket.value}: it was deleted in this very moment")
    await api.update(js, bucket, {**current.config, **changes})


def _value(option: object) -> str:
    return str(getattr(option, "value", option))


async def ensure_all(
    js: JetStreamContext, buckets: Sequence[Bucket] = tuple(Bucket), identity: Identity | None = None
) -> list[BucketReport]:
    return [await ensure(js, bucket, identity) for bucket in buckets]
