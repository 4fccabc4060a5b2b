"""What the bucket desired-state holds, and which of its keys are as their Deployments ask for. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from fleet.kube.objects import Deployment
from fleet.operator.comparing import Comparisons
from fleet.operator.pairs import PairTable
from fleet.wire import DeploymentName, DesiredState, DeviceId, Owner, Pair


class Cell(msgspec.Struct, frozen=True, gc=False):
    """What the desired-state bucket holds under a key; `value` is None for a delete marker or malformed bytes."""

    revision: int
    value: DesiredState | None
    deleted: bool


class DesiredKeys:
    """A key and its Deployment are compared once, when one of them changes, and not at every report."""

    def __init__(self) -> None:
        self.cells: PairTable[Cell] = PairTable()
        # Keys that are neither deleted nor gone.
        self.live = 0
        # Keys that were live and then gone without a marker.
        self.vanished: set[Pair] = set()
        # Those that hold their Deployment's score, with the owner that they name.
        self.settled: PairTable[Owner] = PairTable()
        self._comparisons = Comparisons()

    def put(self, pair: Pair, cell: Cell | None) -> None:
        """The bucket holds `cell` under the key of `pair`, or nothing, not even a marker. Settled is as it was."""
        old = self.cells.get(pair)
        was_live = old is not None and not old.deleted
        if cell is not None:
            self.cells[pair] = cell
            self.vanished.discard(pair)
        else:
            self.cells.pop(pair, None)
            if was_live:
                self.vanished.add(pair)
        self.live += (cell is not None and not cell.deleted) - was_live

    def load(self, pairs: Sequence[Pair], cells: Sequence[Cell]) -> None:
        """As `put`, of many live cells."""
        new = self.cells.load(pairs, cells, self.put)
        self.live += new
        self.vanished.difference_update(pairs)

    def is_settled(self, pair: Pair) -> bool:
        return pair in self.settled

    def settle(self, pair: Pair, deployment: Deployment | None) -> int:
        """Compare a key with its Deployment, if there is one: by how many more keys are settled now."""
        owner = self._owner(deployment, self.cells.get(pair))
        was_settled = pair in self.settled
        if owner is not None:
            self.settled[pair] = owner
        elif was_settled:
            del self.settled[pair]
        return (owner is not None) - was_settled

    def settle_all(self, name: DeploymentName, deployment: Deployment | None) -> Mapping[DeviceId, Cell]:
        """The Deployment is new, gone or asks for something else: compare all its keys; these."""
        self._comparisons.forget(name)
        cells, settled = self.cells.of(name), dict[DeviceId, Owner]()
        # By the value's id; the cells keep it alive.
        owners: dict[int, Owner | None] = {}
        for device, cell in cells.items():
            value = id(cell.value)
            if value not in owners:
                owners[value] = self._owner(deployment, cell)
            owner = owners[value]
            if owner is not None:
                settled[device] = owner
        self.settled.replace_row(name, settled)
        return cells

    def _owner(self, deployment: Deployment | None, cell: Cell | None) -> Owner | None:
        """Who owns the value, if it is what the Deployment asks for."""
        value = cell.value if cell is not None else None
        if deployment is None or value is None or not self._comparisons.is_wanted(deployment, value):
            return None
        return value.owner
