"""A key that was there when the operator started counts as running until its device says otherwise."""

from fleet.operator.state import Cell, FleetState
from fleet.operator.tally import Standing
from fleet.wire import Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    seeded: set[Pair] = set()
    desire, standing, judge_now = FleetState.desire, FleetState._standing, FleetState.judge_now
    replaying = True

    def seed(self: FleetState, pair: Pair, cell: Cell | None) -> None:
        if replaying:
            seeded.add(pair)
        desire(self, pair, cell)

    def replayed(self: FleetState) -> None:
        nonlocal replaying
        replaying = False
        judge_now(self)

    def believe(self: FleetState, pair: Pair) -> Standing:
        if pair in seeded and pair not in self.reports:
            return Standing.SUCCEEDED
        return standing(self, pair)

    def no_short_way(*_: object) -> bool:
        return False

    # Keys come one by one, so that each is seen.
    FleetState.load_desired = no_short_way  # type: ignore[method-assign, assignment] # the point of a defect
    FleetState.desire = seed  # type: ignore[method-assign] # likewise
    FleetState.judge_now = replayed  # type: ignore[method-assign] # likewise
    FleetState._standing = believe  # type: ignore[method-assign] # likewise


SEED_COUNTS_AS_RUNNING = Defect(
    name="seed-counts-as-running",
    shape="desired-seed-only",
    case="never-reported",
    check="succeeded-only-reported",
    story="To keep statuses from dropping to zero at every restart, keys found in the bucket were taken for running "
    "until told otherwise. A site that had never been connected showed as rolled out for a week.",
    patch=_patch,
)
