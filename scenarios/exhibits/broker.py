"""Faults of the broker and its buckets."""

from nats.js.client import JetStreamContext

from fleet.wire import Bucket
from harness.faults.broker_kill import BrokerKilled, StoreWiped
from harness.faults.bucket_loss import BucketsDeleted, BucketsPurged, BucketsRecreated
from harness.faults.buckets import BucketOtherwise, BucketsMissing, RevisionsFrom
from harness.faults.disk import SMALL_DISK_BYTES, DiskFull, StoreReadOnly
from harness.faults.fault import Fault
from scenarios.exhibits.exhibit import Exhibit, Stage

ALL = tuple(Bucket)


async def broker_killed(stage: Stage) -> Fault:
    return BrokerKilled(stage.env.nats, _asking(stage))


async def store_wiped(stage: Stage) -> Fault:
    return StoreWiped(stage.env.nats, _asking(stage))


async def deleted(stage: Stage) -> Fault:
    return BucketsDeleted(_asking(stage), ALL)


async def recreated(stage: Stage) -> Fault:
    return BucketsRecreated(_asking(stage), ALL)


async def recreated_otherwise(stage: Stage) -> Fault:
    return BucketsRecreated(_asking(stage), ALL, "plain")


async def purged(stage: Stage) -> Fault:
    return BucketsPurged(_asking(stage), ALL)


async def tail_purged(stage: Stage) -> Fault:
    return BucketsPurged(_asking(stage), (Bucket.DESIRED_STATE, Bucket.DEVICE_STATE), tail=1)


async def missing(stage: Stage) -> Fault:
    # An operator that runs makes them again before anybody can look.
    await stage.operator.process.stop()
    return BucketsMissing(_asking(stage), ALL, stage.env.start_operator)


async def otherwise(stage: Stage) -> Fault:
    await stage.operator.process.stop()
    return BucketOtherwise(_asking(stage), Bucket.DEVICE_STATE, mender=stage.env.start_operator)


async def revisions(stage: Stage) -> Fault:
    await stage.operator.process.stop()
    return RevisionsFrom(_asking(stage), Bucket.DEVICE_STATE, 2**53)


async def disk_full(stage: Stage) -> Fault:
    await stage.env.nats.move_to_small_disk(SMALL_DISK_BYTES)
    return DiskFull(stage.env.nats, _asking(stage))


async def read_only(stage: Stage) -> Fault:
    return StoreReadOnly(stage.env.nats, _asking(stage), stage.env.foundation.warden)


def _asking(stage: Stage) -> JetStreamContext:
    """The harness's own connection to the broker."""
    return stage.env.witnesses.buckets.client.jetstream()


BROKER = (
    Exhibit("broker-killed", "the broker dies at once and is started again", broker_killed),
    Exhibit("store-wiped", "the broker dies, and comes back with nothing", store_wiped),
    Exhibit("buckets-deleted", "every bucket is deleted", deleted),
    Exhibit("buckets-recreated", "every bucket is deleted and made again by somebody else", recreated),
    Exhibit("buckets-recreated-otherwise", "every bucket is made again with other settings", recreated_otherwise),
    Exhibit("buckets-purged", "every bucket is purged", purged),
    Exhibit("buckets-purged-tail", "the key written last is purged from two buckets", tail_purged),
    Exhibit("buckets-missing", "an operator starts on a broker without buckets", missing),
    Exhibit("bucket-otherwise", "an operator starts on a bucket with other settings", otherwise),
    Exhibit("revisions-from", "a bucket begins at revision 2^53", revisions),
    Exhibit("disk-full", "the broker's disk is full for a while", disk_full),
    Exhibit("store-read-only", "the broker comes back on a store that it cannot write", read_only),
)
