"""What the bucket holds is swept as soon as it has been replayed, against what is known of the objects by then."""

import asyncio

from fleet.bus import writes
from fleet.operator import main
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.parts import Parts
from fleet.operator.sources import BucketSource
from fleet.wire import Bucket, Pair, desired_key
from scenarios.defects.defect import Defect


def _patch() -> None:
    replayed = BucketSource.replayed
    parts_of: list[Parts] = []
    sweeping: set[asyncio.Task[None]] = set()

    class Sweeping(DesiredWriter):
        def __init__(self, parts: Parts) -> None:
            super().__init__(parts)
            parts_of.append(parts)

    def sweep(self: BucketSource[Pair]) -> None:
        replayed(self)
        if self.name != Bucket.DESIRED_STATE:
            return
        task = asyncio.get_running_loop().create_task(delete_unknown(parts_of[0]))
        sweeping.add(task)
        task.add_done_callback(sweeping.discard)

    async def delete_unknown(parts: Parts) -> None:
        cells = parts.state.desired.cells
        unknown = [p for p, cell in cells.items() if not cell.deleted and p not in parts.state.standings]
        for pair in unknown:
            revision = cells[pair].revision
            await writes.delete(parts.js, Bucket.DESIRED_STATE, desired_key(pair), expected=revision)

    main.DesiredWriter = Sweeping  # type: ignore[attr-defined] # the name that it imported, not the class
    BucketSource.replayed = sweep  # type: ignore[method-assign, assignment] # the point of a defect


SWEPT_AT_REPLAY = Defect(
    name="swept-at-replay",
    shape="deployment-deleted-while-down",
    case="force-one",
    check="deletes-justified",
    story="The sweep was the last step of the bucket's replay. Where the API server answered first that was right; the "
    "day it was slow, the operator took down whatever it had not heard of yet.",
    patch=_patch,
)
