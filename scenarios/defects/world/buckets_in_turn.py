"""Whose a bucket is is asked of each bucket by itself, when its turn comes."""

from fleet.bus import buckets
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def later(*_: object) -> None:
        return None

    buckets.check_all = later  # type: ignore[assignment] # the point of a defect


BUCKETS_IN_TURN = Defect(
    name="buckets-in-turn",
    shape="other-cluster",
    case="bucket-missing",
    check="no-crash",
    story="One bucket was lost, and before its own operator came back, a stranger was started by mistake. It made the "
    "bucket, in its own name, and was refused at the next; from then on the right operator was refused at the first.",
    patch=_patch,
)
