"""What the operator knows: a fold of events, O(1) per report, free of I/O and of clocks (times are arguments).

Invariants:
- `standings` holds exactly the pairs that a Deployment selects and whose device is neither blocked nor being deleted.
- `unwanted` holds exactly the pairs that no Deployment wants and that a device may still run: the key is live, or it
  left no trace while the device reports about it.
- During the first replay `unwanted` is not kept (see `judge_later`).
- A fold that changes an input of a decision marks it dirty. A replay therefore marks everything, and a crash loses no
  mark that the next replay does not set again.
- An older event time never overwrites a newer one, and none is later than the broker's own time of the report.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from fleet.kube.objects import Deployment, Device
from fleet.operator.decoding import Report
from fleet.operator.desired_keys import Cell, DesiredKeys
from fleet.operator.liveness import Liveness
from fleet.operator.matching import Matcher
from fleet.operator.pairs import PairSet, PairTable
from fleet.operator.standings import Standings
from fleet.operator.unwanted import Unwanted
from fleet.wire import DeploymentName, DeviceId, Pair


class FleetState:
    """The operator's view of the fleet. One owner folds events in; decisions only read it."""

    def __init__(self, stale_after_s: float) -> None:
        self.deployments: dict[DeploymentName, Deployment] = {}
        self.devices: dict[DeviceId, Device] = {}
        # Labels of each device that has introduced itself.
        self.infos: dict[DeviceId, Mapping[str, str]] = {}
        self.reports: PairTable[Report] = PairTable()
        self.desired = DesiredKeys()
        self.liveness = Liveness(stale_after_s)
        self.standings = Standings(self.reports, self.desired, self.liveness)
        # Objects that are there and that we cannot read: nobody knows what they want.
        self.unreadable_deployments: set[str] = set()
        self.unreadable_devices: set[str] = set()
        self.unwanted = Unwanted()
        # Resources whose definition was being deleted when it was looked at last: nothing is taken away meanwhile.
        self.definitions_going: tuple[str, ...] = ()
        self.dirty_pairs = PairSet()
        self.dirty_status: set[DeploymentName] = set()
        self.dirty_deployments: set[DeploymentName] = set()
        self.dirty_devices: set[DeviceId] = set()
        self._matcher = Matcher()
        self._judging = True

    # Events of the Kubernetes API

    def upsert_deployment(self, deployment: Deployment) -> None:
        name = deployment.name
        old = self.deployments.get(name)
        self.deployments[name] = deployment
        self.unreadable_deployments.discard(name)
        self.dirty_status.add(name)
        self.dirty_deployments.add(name)
        if old is None or (old.uid, old.generation, old.score) != (
            deployment.uid,
            deployment.generation,
            deployment.score,
        ):
            self._settle_keys(name)
        if old is None or old.selector != deployment.selector or old.deleting != deployment.deleting:
            self._matcher.put_deployment(deployment)
            matched, selected = self.standings.devices_of(name), self._matcher.devices_of(name)
            gone = matched - selected
            self._link(name, selected - matched)
            for device in gone:
                self._unlink(Pair(device, name))

    def remove_deployment(self, name: DeploymentName) -> None:
        self.unreadable_deployments.discard(name)
        if self.deployments.pop(name, None) is None:
            return
        self._matcher.drop_deployment(name)
        for device in list(self.standings.devices_of(name)):
            self._unlink(Pair(device, name))
        self._settle_keys(name)
        for dirty in (self.dirty_status, self.dirty_deployments):
            dirty.discard(name)
        self.standings.drop(name)

    def upsert_device(self, device: Device) -> None:
        name = device.name
        self.devices[name] = device
        self.unreadable_devices.discard(name)
        self.dirty_devices.add(name)
        known = self._matcher.deployments_of(name)
        self._matcher.put_device(device)
        selecting = self._matcher.deployments_of(name)
        if selecting != known:
            for deployment in selecting - known:
                self._link(deployment, (name,))
            for deployment in known - selecting:
                self._unlink(Pair(name, deployment))

    def remove_device(self, name: DeviceId) -> None:
        known = self.devices.pop(name, None) is not None
        if known or name in self.unreadable_devices:
            # It may have introduced itself: then it is registered again.
            self.dirty_devices.add(name)
        self.unreadable_devices.discard(name)
        if not known:
            return
        selecting = self._matcher.deployments_of(name)
        self._matcher.drop_device(name)
        for deployment in selecting:
            self._unlink(Pair(name, deployment))

    # Events of the buckets

    def introduce(self, device: DeviceId, labels: Mapping[str, str] | None) -> None:
        """Fold in a device-info entry; None if it was deleted."""
        if labels is None:
            self.infos.pop(device, None)
        else:
            self.infos[device] = labels
        self.dirty_devices.add(device)

    def report(self, pair: Pair, report: Report | None, stored_at: datetime | None = None) -> None:
        """Fold in a device-state entry that the broker stored at `stored_at`; None if it was deleted."""
        if report is None:
            if self.reports.pop(pair, None) is None:
                return
            self.dirty_devices.add(pair.device)
        else:
            if stored_at is not None and report.last_event_at > stored_at:
                # A clock that runs ahead must not win for as long as it does.
                report = msgspec.structs.replace(report, last_event_at=stored_at)
            old = self.reports.get(pair)
            if old is not None and old.last_event_at > report.last_event_at:
                return
            self.reports[pair] = report
        self._judge(pair)
        self._reclassify(pair)

    def desire(self, pair: Pair, cell: Cell | None) -> None:
        """Fold in what the desired-state bucket holds for a pair; None if the key left no trace."""
        self.desired.put(pair, cell)
        step = self.desired.settle(pair, self.deployments.get(pair.deployment))
        if self.standings.settled(pair, step):
            self.dirty_status.add(pair.deployment)
        self.dirty_pairs.add(pair)
        self._judge(pair)
        self._reclassify(pair)

    def beat(self, device: DeviceId, at_s: float) -> None:
        """A heartbeat that the broker stored at `at_s` (its Unix time)."""
        if self.liveness.beat(device, at_s):
            self._reclassify_device(device)

    def beat_forgotten(self, device: DeviceId) -> None:
        """The heartbeat's key was deleted."""
        self.liveness.forget(device)
        self._reclassify_device(device)

    def advance(self, now_s: float) -> None:
        """Judge anew who is silent; `now_s` is monotonic."""
        changed, unheard = self.liveness.advance(now_s)
        for device in changed:
            self._reclassify_device(device)
        if unheard:
            reporting = {device for _, row in self.reports.rows() for device in row}
            for device in itertools.filterfalse(self.liveness.has_beat, reporting):
                self._reclassify_device(device)

    # The first replay

    @property
    def loading(self) -> bool:
        """Whether what comes concerns nothing else yet."""
        return not self._judging and not self.deployments

    def load_devices(self, devices: Mapping[DeviceId, Device], count: int) -> bool:
        """Fold in `count` Devices while `loading`; False, and nothing was done, if one was told before."""
        if len(devices) != count or not self.devices.keys().isdisjoint(devices):
            return False
        self.devices.update(devices)
        self.unreadable_devices.difference_update(devices)
        self.dirty_devices.update(devices)
        for device in devices.values():
            self._matcher.put_device(device)
        return True

    def load_desired(self, pairs: Sequence[Pair], cells: Sequence[Cell]) -> None:
        """As `desire`, while `loading`, of live keys; each is marked by what comes later."""
        self.desired.load(pairs, cells)

    def load_reports(self, pairs: Sequence[Pair], reports: Sequence[Report]) -> None:
        """As `report`, while `loading`, of reports none of which is later than the broker's own time of it."""
        self.reports.load(pairs, reports, self.report)

    def introduce_all(self, infos: Mapping[DeviceId, Mapping[str, str]]) -> None:
        """Fold in device-info entries."""
        self.infos.update(infos)
        self.dirty_devices.update(infos)

    def judge_later(self) -> None:
        """From now on `unwanted` is not kept: while objects and keys come in, each nearly is for a moment."""
        self._judging = False

    def judge_now(self) -> None:
        """Everything was replayed: make `unwanted`, and keep it."""
        self._judging = True
        self.dirty_status.update(self.deployments)
        for deployment, cells in self.desired.cells.rows():
            self.dirty_pairs.update_row(deployment, cells)
        for table in (self.desired.cells, self.reports):
            for deployment, row in table.rows():
                for device in row.keys() - self.standings.devices_of(deployment):
                    self._judge(Pair(device, deployment))

    # Questions

    def reported(self, device: DeviceId) -> list[Pair]:
        """The pairs that a device reports about."""
        return sorted(Pair(device, deployment) for deployment, row in self.reports.rows() if device in row)

    # What follows

    def _link(self, deployment: DeploymentName, devices: Collection[DeviceId]) -> None:
        """These pairs are matched from now on."""
        self.standings.link(deployment, devices)
        if self._judging:
            for device in devices:
                self._judge(Pair(device, deployment))
        self.dirty_pairs.update_row(deployment, devices)
        self.dirty_status.add(deployment)

    def _unlink(self, pair: Pair) -> None:
        """It is matched no more."""
        self.standings.unlink(pair)
        self._judge(pair)
        self.dirty_pairs.add(pair)
        self.dirty_status.add(pair.deployment)

    def _settle_keys(self, name: DeploymentName) -> None:
        """A Deployment is new, gone, or asks for something else."""
        self.dirty_pairs.update_row(name, self.desired.settle_all(name, self.deployments.get(name)))
        self.dirty_pairs.update_row(name, self.standings.devices_of(name))
        self.standings.settled_anew(name)

    def _judge(self, pair: Pair) -> None:
        """Keep `unwanted` true for one pair."""
        if not self._judging:
            return
        unwanted = False
        if pair not in self.standings:
            cell = self.desired.cells.get(pair)
            unwanted = pair in self.reports if cell is None else not cell.deleted
        if self.unwanted.put(pair, unwanted=unwanted) and not unwanted:
            # The last key of an object that is being deleted lets it go; nor is there anything left to complain of.
            self.dirty_deployments.add(pair.deployment)
            self.dirty_devices.add(pair.device)
            self.dirty_status.add(pair.deployment)

    def _reclassify(self, pair: Pair) -> None:
        if self.standings.judge(pair):
            self.dirty_status.add(pair.deployment)

    def _reclassify_device(self, device: DeviceId) -> None:
        for deployment in self._matcher.deployments_of(device):
            self._reclassify(Pair(device, deployment))
