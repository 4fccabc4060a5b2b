"""Revisions went through JSON numbers that were read as doubles: beyond 2^53 they come out as their neighbours."""

from nats.js.client import JetStreamContext

from fleet.bus import writes
from fleet.wire import Bucket
from scenarios.defects.defect import Defect


def _patch() -> None:
    put = writes.put

    async def rounded(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        return await put(js, bucket, key, value, expected=int(float(expected)))

    writes.put = rounded


FLOAT_REVISIONS = Defect(
    name="float-revisions",
    shape="revision-extremes",
    case="63-at-memory",
    check="one-edit-k-writes",
    story="The revision was kept in a field that some library decoded as a double. In tests it was 12; with revisions "
    "that begin at a time in nanoseconds every second write was a conflict, for ever.",
    patch=_patch,
)
