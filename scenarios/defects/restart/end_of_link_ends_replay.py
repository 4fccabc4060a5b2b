"""The end of the connection is taken for the end of the initial values."""

from fleet.bus.session import Session
from fleet.errors import PeerAway
from scenarios.defects.defect import Defect


def _patch() -> None:
    fail = Session.fail

    def end(self: Session, reason: str) -> None:
        if self.over or self.complete:
            fail(self, reason)
            return
        self.failed.set_exception(PeerAway(reason))
        self.failed.exception()
        # One that could not even begin says nothing: as long as the link is down, what was said of the last one stands.
        if self.delivered:
            self._sink.replayed()
        self.moved.set()

    Session.fail = end  # type: ignore[method-assign] # the point of a defect


END_OF_LINK_ENDS_REPLAY = Defect(
    name="end-of-link-ends-replay",
    shape="nats-cut-mid-rebuild",
    case="cut-at-desired",
    check="latch-never-early",
    story="The loop over the watcher's initial values ended when they were all there, and also when its connection "
    "broke. On a bad uplink the operator went to work with the half of the fleet that it had heard of.",
    patch=_patch,
)
