"""A key that was there when the operator started counts as running until its device says otherwise."""

from collections.abc import Iterable, Sequence

from fleet.operator.desired_keys import Cell
from fleet.operator.standings import Standings
from fleet.operator.state import FleetState
from fleet.operator.tally import Standing
from fleet.wire import DeploymentName, DeviceId, Pair
from scenarios.defects.defect import Defect


def _patch() -> None:
    seeded: set[Pair] = set()
    desire, judged, judge_now = FleetState.desire, Standings._judged, FleetState.judge_now
    replaying = True

    def seed(self: FleetState, pair: Pair, cell: Cell | None) -> None:
        if replaying:
            seeded.add(pair)
        desire(self, pair, cell)

    def replayed(self: FleetState) -> None:
        nonlocal replaying
        replaying = False
        judge_now(self)

    def believe(self: Standings, name: DeploymentName, devices: Iterable[DeviceId]) -> list[Standing]:
        known = list(devices)
        return [
            Standing.SUCCEEDED if (p := Pair(device, name)) in seeded and p not in self._reports else standing
            for device, standing in zip(known, judged(self, name, known), strict=True)
        ]

    def one_by_one(self: FleetState, pairs: Sequence[Pair], cells: Sequence[Cell]) -> None:
        for pair, cell in zip(pairs, cells, strict=True):
            seed(self, pair, cell)

    FleetState.load_desired = one_by_one  # type: ignore[method-assign] # the point of a defect
    FleetState.desire = seed  # type: ignore[method-assign] # likewise
    FleetState.judge_now = replayed  # type: ignore[method-assign] # likewise
    Standings._judged = believe  # type: ignore[method-assign, assignment] # likewise


SEED_COUNTS_AS_RUNNING = Defect(
    name="seed-counts-as-running",
    shape="desired-seed-only",
    case="never-reported",
    check="succeeded-only-reported",
    story="To keep statuses from dropping to zero at every restart, keys found in the bucket were taken for running "
    "until told otherwise. A site that had never been connected showed as rolled out for a week.",
    patch=_patch,
)
