"""A bucket with another configuration is deleted and made anew, with what it held."""

from nats.js.api import StreamConfig
from nats.js.client import JetStreamContext

from fleet.bus import buckets
from fleet.wire import Bucket, stream_name
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def make_again(js: JetStreamContext, bucket: Bucket, existing: StreamConfig) -> buckets.BucketReport:
        if existing.max_msgs_per_subject != 1:
            await js.delete_stream(stream_name(bucket))
            return await buckets.ensure(js, bucket)
        return buckets.BucketReport(bucket, created=False, mended=(), problems=())

    buckets._mend = make_again


BUCKETS_MADE_AGAIN = Defect(
    name="buckets-made-again",
    shape="missing-buckets",
    case="made-otherwise",
    check="buckets-kept",
    story="An update of the stream was refused once, so the code deletes and creates it. The first upgrade that "
    "changed a setting threw away what every device had reported.",
    patch=_patch,
)
