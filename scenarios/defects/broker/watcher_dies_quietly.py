"""A watch that ends is taken for one that has nothing to tell."""

import asyncio

from fleet.bus.replica import KvReplica
from fleet.bus.session import Session
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def once(self: KvReplica) -> None:
        await self._follow(self._new_session())
        # The loop is over, and nobody waits for it.
        await asyncio.Event().wait()

    def without_a_word(self: Session, reason: str) -> None:
        if not self.failed.done():
            self.failed.set_exception(RuntimeError(reason))
            self.failed.exception()

    KvReplica.run = once  # type: ignore[method-assign] # the point of a defect
    Session.fail = without_a_word  # type: ignore[method-assign] # the point of a defect


WATCHER_DIES_QUIETLY = Defect(
    name="watcher-dies-quietly",
    shape="stream-loss",
    case="desired-deleted",
    check="keys-rebuilt-in-time",
    story="The loop over the watcher simply ended when somebody deleted the bucket. The pod was green for nine days, "
    "until a new device got nothing to run.",
    patch=_patch,
)
