"""What the operator knows: a fold of events, O(1) per report, free of I/O and of clocks.

Invariants:
- `matched[d]` holds exactly the devices that Deployment `d` selects and that are neither blocked nor being deleted.
- `tallies[d]` counts the pairs of `matched[d]` by standing; it is adjusted, never recounted.
- A fold that changes an input of a decision marks it in `dirty_pairs` or `dirty_status`. A replay therefore marks
  everything, and a crash loses no mark that the next replay does not set again.
- An older `last_event_at` never overwrites a newer one.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from fleet.kube.objects import Deployment, Device
from fleet.wire import DeploymentName, DesiredState, DeviceId, DeviceState, Pair, Phase


class Standing(Enum):
    """How one matched pair counts in a Deployment's status (docs/contract.md)."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


_STANDINGS = {Phase.PENDING: Standing.PENDING, Phase.RUNNING: Standing.SUCCEEDED, Phase.FAILED: Standing.FAILED}


@dataclass(frozen=True, slots=True)
class Cell:
    """What the desired-state bucket holds under a key; `value` is None for a delete marker or malformed bytes."""

    revision: int
    value: DesiredState | None
    deleted: bool


@dataclass(frozen=True, slots=True, order=True)
class Failure:
    """A device's report of why a pair failed. Ordered, so that "the last error" is one and the same everywhere."""

    at: datetime
    device: DeviceId
    message: str


@dataclass(slots=True)
class Tally:
    """Counts of one Deployment's matched pairs by standing, and who failed."""

    counts: dict[Standing, int] = field(default_factory=lambda: dict.fromkeys(Standing, 0))
    failures: dict[DeviceId, Failure] = field(default_factory=dict)
    _last: Failure | None = None

    @property
    def matched(self) -> int:
        return sum(self.counts.values())

    @property
    def last_failure(self) -> Failure | None:
        """The newest failure. Searched for only after the newest one was taken away."""
        if self._last is None and self.failures:
            self._last = max(self.failures.values())
        return self._last

    def set_failure(self, device: DeviceId, failure: Failure | None) -> None:
        previous = self.failures.pop(device, None)
        if previous is not None and previous == self._last:
            self._last = None
        if failure is not None:
            # With `_last` unset and others there, the newest is unknown: leave it to the search.
            if (self._last is not None and failure > self._last) or not self.failures:
                self._last = failure
            self.failures[device] = failure


class FleetState:
    """The operator's view of the fleet. One owner folds events in; decisions only read it."""

    def __init__(self) -> None:
        self.deployments: dict[DeploymentName, Deployment] = {}
        self.devices: dict[DeviceId, Device] = {}
        self.reports: dict[Pair, DeviceState] = {}
        self.desired: dict[Pair, Cell] = {}
        self.matched: defaultdict[DeploymentName, set[DeviceId]] = defaultdict(set)
        self.tallies: defaultdict[DeploymentName, Tally] = defaultdict(Tally)
        self.dirty_pairs: set[Pair] = set()
        self.dirty_status: set[DeploymentName] = set()
        # What this process saw alive and then saw deleted: only that justifies deleting its keys.
        self.departed_uids: set[str] = set()
        self.departed_devices: set[DeviceId] = set()
        self._selecting: defaultdict[DeviceId, set[DeploymentName]] = defaultdict(set)
        self._keys_of_deployment: defaultdict[DeploymentName, set[Pair]] = defaultdict(set)
        self._keys_of_device: defaultdict[DeviceId, set[Pair]] = defaultdict(set)
        self._standings: dict[Pair, Standing] = {}
        self._settled: set[Pair] = set()

    # Events of the Kubernetes API

    def upsert_deployment(self, deployment: Deployment) -> None:
        name = deployment.name
        old = self.deployments.get(name)
        self.deployments[name] = deployment
        self.dirty_status.add(name)
        if old is not None and old.uid != deployment.uid:
            self.departed_uids.add(old.uid)
        self.departed_uids.discard(deployment.uid)
        if old is None or old.selector != deployment.selector or old.deleting != deployment.deleting:
            selected = {device.name for device in self.devices.values() if selects(deployment, device)}
            self._link(Pair(device, name) for device in selected - self.matched[name])
            self._unlink([Pair(device, name) for device in self.matched[name] - selected])
        if old is None or (old.uid, old.generation, old.score) != (
            deployment.uid,
            deployment.generation,
            deployment.score,
        ):
            self.dirty_pairs.update(Pair(device, name) for device in self.matched[name])
            for pair in self._keys_of_deployment[name]:
                self._resettle(pair)

    def remove_deployment(self, name: DeploymentName) -> None:
        old = self.deployments.pop(name, None)
        if old is None:
            return
        self.departed_uids.add(old.uid)
        self._unlink([Pair(device, name) for device in self.matched[name]])
        for pair in self._keys_of_deployment[name]:
            self._resettle(pair)
        self.dirty_status.discard(name)
        del self.matched[name]
        self.tallies.pop(name, None)

    def upsert_device(self, device: Device) -> None:
        name = device.name
        old = self.devices.get(name)
        self.devices[name] = device
        self.departed_devices.discard(name)
        if old is None:
            # A key that nobody wants may be deleted once its device is known.
            self.dirty_pairs.update(self._keys_of_device[name])
        elif _eligible(old) == _eligible(device) and old.labels == device.labels:
            return
        selecting = {d.name for d in self.deployments.values() if selects(d, device)}
        self._link(Pair(name, deployment) for deployment in selecting - self._selecting[name])
        self._unlink([Pair(name, deployment) for deployment in self._selecting[name] - selecting])

    def remove_device(self, name: DeviceId) -> None:
        if self.devices.pop(name, None) is None:
            return
        self.departed_devices.add(name)
        self._unlink([Pair(name, deployment) for deployment in self._selecting[name]])
        self.dirty_pairs.update(self._keys_of_device[name])
        del self._selecting[name]

    # Events of the buckets

    def report(self, pair: Pair, report: DeviceState | None) -> None:
        """Fold in a device-state entry; None if it was deleted."""
        if report is None:
            if self.reports.pop(pair, None) is None:
                return
        else:
            old = self.reports.get(pair)
            if old is not None and old.last_event_at > report.last_event_at:
                return
            self.reports[pair] = report
        self._reclassify(pair)

    def desire(self, pair: Pair, cell: Cell | None) -> None:
        """Fold in what the desired-state bucket holds for a pair; None if the key left no trace."""
        if cell is None:
            self.desired.pop(pair, None)
            self._keys_of_deployment[pair.deployment].discard(pair)
            self._keys_of_device[pair.device].discard(pair)
        else:
            self.desired[pair] = cell
            self._keys_of_deployment[pair.deployment].add(pair)
            self._keys_of_device[pair.device].add(pair)
        self._resettle(pair)

    def is_matched(self, pair: Pair) -> bool:
        return pair in self._standings

    def is_settled(self, pair: Pair) -> bool:
        """Whether the key holds this Deployment's score, or one of a generation that we have yet to hear of."""
        return pair in self._settled

    # Matching and counting

    def _resettle(self, pair: Pair) -> None:
        """The key or its Deployment changed: compare them once, here, and not at every report."""
        cell = self.desired.get(pair)
        deployment = self.deployments.get(pair.deployment)
        stored = cell.value if cell is not None else None
        if (
            stored is not None
            and deployment is not None
            and stored.owner.uid == deployment.uid
            and (stored.score == deployment.score or stored.owner.generation > deployment.generation)
        ):
            self._settled.add(pair)
        else:
            self._settled.discard(pair)
        self.dirty_pairs.add(pair)
        self._reclassify(pair)

    def _link(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self.matched[pair.deployment].add(pair.device)
            self._selecting[pair.device].add(pair.deployment)
            standing = self._standings[pair] = self._standing(pair)
            self.tallies[pair.deployment].counts[standing] += 1
            self._note_failure(pair, standing)
            self.dirty_pairs.add(pair)
            self.dirty_status.add(pair.deployment)

    def _unlink(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self.matched[pair.deployment].discard(pair.device)
            self._selecting[pair.device].discard(pair.deployment)
            tally = self.tallies[pair.deployment]
            tally.counts[self._standings.pop(pair)] -= 1
            tally.set_failure(pair.device, None)
            self.dirty_pairs.add(pair)
            self.dirty_status.add(pair.deployment)

    def _reclassify(self, pair: Pair) -> None:
        """An input of the pair's standing changed: move it between the counts if it is matched."""
        old = self._standings.get(pair)
        if old is None:
            return
        new = self._standings[pair] = self._standing(pair)
        if new is not old:
            counts = self.tallies[pair.deployment].counts
            counts[old] -= 1
            counts[new] += 1
            self.dirty_status.add(pair.deployment)
        if Standing.FAILED in (old, new):
            self._note_failure(pair, new)
            self.dirty_status.add(pair.deployment)

    def _standing(self, pair: Pair) -> Standing:
        """A report counts once the key is settled and the report is about it: same owner, no older generation."""
        report = self.reports.get(pair)
        cell = self.desired.get(pair)
        if report is None or cell is None or cell.value is None or pair not in self._settled:
            return Standing.PENDING
        owner = cell.value.owner
        if report.owner.uid != owner.uid or report.owner.generation < owner.generation:
            return Standing.PENDING
        return _STANDINGS[report.phase]

    def _note_failure(self, pair: Pair, standing: Standing) -> None:
        failure = None
        if standing is Standing.FAILED:
            report = self.reports[pair]
            failure = Failure(report.last_event_at, pair.device, report.last_error or "")
        self.tallies[pair.deployment].set_failure(pair.device, failure)


def _eligible(device: Device) -> bool:
    return not device.blocked and not device.deleting


def selects(deployment: Deployment, device: Device) -> bool:
    """Whether `deployment` is to run on `device`: every selected label is there, with that value."""
    return not deployment.deleting and _eligible(device) and deployment.selector.items() <= device.labels.items()
