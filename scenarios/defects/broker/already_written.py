"""A key that was written once is never looked for again: what vanishes without a marker is not noticed."""

from fleet.bus.session import Session
from fleet.wire import Bucket
from scenarios.defects.defect import Defect


def _patch() -> None:
    forget = Session.forget

    def remember(self: Session, key: str) -> None:
        if self._bucket is not Bucket.DESIRED_STATE:
            forget(self, key)

    Session.forget = remember  # type: ignore[method-assign] # the point of a defect


ALREADY_WRITTEN = Defect(
    name="already-written",
    shape="stream-loss",
    case="desired-purged",
    check="keys-rebuilt-in-time",
    story="To save writes, what had been written was remembered. The bucket was restored empty, and nothing was "
    "written to it until somebody restarted the operator.",
    patch=_patch,
)
