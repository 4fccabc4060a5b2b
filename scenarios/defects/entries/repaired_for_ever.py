"""A key that was malformed once is on the list of keys to put right, and never leaves it."""

from fleet.operator.desired_keys import Cell
from fleet.operator.state import FleetState
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    sound = FleetState.desire
    to_repair: set[Pair] = set()

    def desire(self: FleetState, pair: Pair, cell: Cell | None) -> None:
        if cell is not None and not cell.deleted and (cell.value is None or pair in to_repair):
            to_repair.add(pair)
            cell = Cell(cell.revision, None, deleted=False)
        sound(self, pair, cell)

    FleetState.desire = desire  # type: ignore[method-assign] # the point of a defect


REPAIRED_FOR_EVER = Defect(
    name="repaired-for-ever",
    shape="malformed-desired-state",
    case="garbage-up",
    check="rewritten-once",
    story="Keys that could not be decoded went to a list of repairs, and came off it when the repair had been seen. "
    "But what was seen was compared with the bytes that could not be decoded, and each repair led to the next.",
    patch=_patch,
)
