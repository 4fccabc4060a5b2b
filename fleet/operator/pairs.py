"""Tables and sets of pairs, kept by Deployment: a row for each, by device.

What is asked of pairs is mostly asked of all that one Deployment has, and a row answers it at once. Its keys are names,
which remember their hash, where a pair's is made anew each time; and it stays small when the fleet grows.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping, MutableSet, Sequence
from typing import TypeVar

from fleet.wire import DeploymentName, DeviceId, Pair

V = TypeVar("V")


class PairTable(MutableMapping[Pair, V]):
    """One value for each pair. A row that is empty is not there."""

    def __init__(self) -> None:
        self._rows: defaultdict[DeploymentName, dict[DeviceId, V]] = defaultdict(dict)
        self._none: Mapping[DeviceId, V] = {}

    def of(self, deployment: DeploymentName) -> Mapping[DeviceId, V]:
        """The row of a Deployment, by device; until it changes next."""
        return self._rows.get(deployment, self._none)

    def rows(self) -> Iterable[tuple[DeploymentName, Mapping[DeviceId, V]]]:
        return self._rows.items()

    def update_row(self, deployment: DeploymentName, values: Mapping[DeviceId, V]) -> None:
        if values:
            self._rows[deployment].update(values)

    def load(self, pairs: Sequence[Pair], values: Sequence[V], known: Callable[[Pair, V], None]) -> int:
        """Add many, in order; `known` is told of each pair that has a value already. How many it had not."""
        rows, told = self._rows, 0
        for pair, value in zip(pairs, values, strict=True):
            row, device = rows[pair.deployment], pair.device
            if device in row:
                known(pair, value)
                told += 1
            else:
                row[device] = value
        return len(pairs) - told

    def replace_row(self, deployment: DeploymentName, values: dict[DeviceId, V]) -> None:
        """`values` belong to the table from now on."""
        if values:
            self._rows[deployment] = values
        else:
            self._rows.pop(deployment, None)

    def __getitem__(self, pair: Pair) -> V:
        row = self._rows.get(pair.deployment)
        if row is None:
            raise KeyError(pair)
        return row[pair.device]

    def __setitem__(self, pair: Pair, value: V) -> None:
        self._rows[pair.deployment][pair.device] = value

    def __delitem__(self, pair: Pair) -> None:
        row = self._rows.get(pair.deployment)
        if row is None:
            raise KeyError(pair)
        del row[pair.device]
        if not row:
            del self._rows[pair.deployment]

    def __contains__(self, pair: object) -> bool:
        return isinstance(pair, Pair) and pair.device in self.of(pair.deployment)

    def __iter__(self) -> Iterator[Pair]:
        return _each(self._rows)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))


class PairSet(MutableSet[Pair]):
    """A set of pairs. A row that is empty is not there."""

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self._rows: defaultdict[DeploymentName, set[DeviceId]] = defaultdict(set)
        self.update(pairs)

    def update(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self.add(pair)

    def update_row(self, deployment: DeploymentName, devices: Collection[DeviceId]) -> None:
        """Add the pairs of one Deployment with all these devices."""
        if devices:
            self._rows[deployment].update(devices)

    def difference_update(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self.discard(pair)

    def add(self, pair: Pair) -> None:
        self._rows[pair.deployment].add(pair.device)

    def discard(self, pair: Pair) -> None:
        row = self._rows.get(pair.deployment)
        if row is not None:
            row.discard(pair.device)
            if not row:
                del self._rows[pair.deployment]

    def clear(self) -> None:
        self._rows.clear()

    def __contains__(self, pair: object) -> bool:
        return isinstance(pair, Pair) and pair.device in self._rows.get(pair.deployment, ())

    def __iter__(self) -> Iterator[Pair]:
        return _each(self._rows)

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))


def _each(rows: Mapping[DeploymentName, Iterable[DeviceId]]) -> Iterator[Pair]:
    return (Pair(device, deployment) for deployment, row in rows.items() for device in row)
