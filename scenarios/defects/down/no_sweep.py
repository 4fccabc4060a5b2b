"""Keys go when their Deployment is seen to go, and otherwise never."""

import asyncio

from fleet.operator.sweeper import Sweeper
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def never_look(_: Sweeper) -> None:
        await asyncio.Event().wait()

    Sweeper.run = never_look  # type: ignore[method-assign, assignment] # the point of a defect


NO_SWEEP = Defect(
    name="no-sweep",
    shape="deployment-deleted-while-down",
    case="force-one",
    check="keys-purged",
    story="The finalizer was thought to be enough. A namespace was stuck in Terminating, somebody removed all "
    "finalizers, and the devices run to this day what nobody can delete any more.",
    patch=_patch,
)
