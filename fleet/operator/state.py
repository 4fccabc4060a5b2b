"""What the operator knows: a fold of events, O(1) per report, free of I/O and of clocks (times are arguments).

Invariants:
- `matched[d]` holds exactly the devices that Deployment `d` selects and that are neither blocked nor being deleted.
- `tallies[d]` counts the pairs of `matched[d]` by standing; it is adjusted, never recounted.
- `unwanted` holds exactly the pairs that no Deployment wants and that a device may still run: the key is live, or it
  left no trace while the device reports about it.
- During the first replay `unwanted` is not kept (see `judge_later`).
- A fold that changes an input of a decision marks it dirty. A replay therefore marks everything, and a crash loses no
  mark that the next replay does not set again.
- An older event time never overwrites a newer one, and none is later than the broker's own time of the report.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from itertools import filterfalse

import msgspec

from fleet.kube.objects import Deployment, Device
from fleet.operator.comparing import Comparisons
from fleet.operator.decoding import Report
from fleet.operator.liveness import Liveness, Verdict
from fleet.operator.matching import Matcher
from fleet.operator.tally import STANDING_OF_PHASE, Failure, Standing, Tally
from fleet.wire import DeploymentName, DesiredState, DeviceId, Pair

_COUNTED = {Verdict.SILENT: Standing.STALE, Verdict.UNKNOWN: Standing.UNDECIDED}


class Cell(msgspec.Struct, frozen=True, gc=False):
    """What the desired-state bucket holds under a key; `value` is None for a delete marker or malformed bytes."""

    revision: int
    value: DesiredState | None
    deleted: bool


class FleetState:
    """The operator's view of the fleet. One owner folds events in; decisions only read it."""

    def __init__(self, stale_after_s: float) -> None:
        self.deployments: dict[DeploymentName, Deployment] = {}
        self.devices: dict[DeviceId, Device] = {}
        # Labels of each device that has introduced itself.
        self.infos: dict[DeviceId, Mapping[str, str]] = {}
        self.reports: dict[Pair, Report] = {}
        self.desired: dict[Pair, Cell] = {}
        self.liveness = Liveness(stale_after_s)
        # Objects that are there and that we cannot read: nobody knows what they want.
        self.unreadable_deployments: set[str] = set()
        self.unreadable_devices: set[str] = set()
        self.matched: defaultdict[DeploymentName, set[DeviceId]] = defaultdict(set)
        self.tallies: defaultdict[DeploymentName, Tally] = defaultdict(Tally)
        self.unwanted: set[Pair] = set()
        self.unwanted_of_deployment: Counter[DeploymentName] = Counter()
        self.unwanted_of_device: Counter[DeviceId] = Counter()
        self.live_keys = 0
        # Resources whose definition was being deleted when it was looked at last: nothing is taken away meanwhile.
        self.definitions_going: tuple[str, ...] = ()
        # Keys that were live and then gone without a marker.
        self.vanished: set[Pair] = set()
        self.dirty_pairs: set[Pair] = set()
        self.dirty_status: set[DeploymentName] = set()
        self.dirty_deployments: set[DeploymentName] = set()
        self.dirty_devices: set[DeviceId] = set()
        self._matcher = Matcher()
        self._comparisons = Comparisons()
        self._keys_of_deployment: defaultdict[DeploymentName, set[Pair]] = defaultdict(set)
        self._reports_of_device: defaultdict[DeviceId, set[DeploymentName]] = defaultdict(set)
        self._standings: dict[Pair, Standing] = {}
        self._settled: set[Pair] = set()
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
            self._comparisons.forget(name)
            self._settle_keys(deployment)
        if old is None or old.selector != deployment.selector or old.deleting != deployment.deleting:
            self._matcher.put_deployment(deployment)
            selected = self._matcher.devices_of(name)
            self._link(name, selected - self.matched[name])
            self._unlink([Pair(device, name) for device in self.matched[name] - selected])

    def remove_deployment(self, name: DeploymentName) -> None:
        self.unreadable_deployments.discard(name)
        if self.deployments.pop(name, None) is None:
            return
        self._matcher.drop_deployment(name)
        self._comparisons.forget(name)
        self._unlink([Pair(device, name) for device in self.matched[name]])
        for pair in self._keys_of_deployment[name]:
            self._resettle(pair)
        for dirty in (self.dirty_status, self.dirty_deployments):
            dirty.discard(name)
        del self.matched[name]
        self.tallies.pop(name, None)

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
            self._unlink([Pair(name, deployment) for deployment in known - selecting])

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
        self._unlink([Pair(name, deployment) for deployment in selecting])

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
            self._reports_of_device[pair.device].discard(pair.deployment)
            self.dirty_devices.add(pair.device)
        else:
            if stored_at is not None and report.last_event_at > stored_at:
                # A clock that runs ahead must not win for as long as it does.
                report = msgspec.structs.replace(report, last_event_at=stored_at)
            old = self.reports.get(pair)
            if old is None:
                self._reports_of_device[pair.device].add(pair.deployment)
            elif old.last_event_at > report.last_event_at:
                return
            self.reports[pair] = report
        if self._judging:
            self._judge(pair)
        self._reclassify(pair)

    def desire(self, pair: Pair, cell: Cell | None) -> None:
        """Fold in what the desired-state bucket holds for a pair; None if the key left no trace."""
        old = self.desired.get(pair)
        was_live = old is not None and not old.deleted
        if cell is None:
            self.desired.pop(pair, None)
            self._keys_of_deployment[pair.deployment].discard(pair)
            if was_live:
                self.vanished.add(pair)
        else:
            self.desired[pair] = cell
            if old is None:
                self._keys_of_deployment[pair.deployment].add(pair)
                self.vanished.discard(pair)
        self.live_keys += (cell is not None and not cell.deleted) - was_live
        if pair.deployment in self.deployments or pair in self._settled:
            self._resettle(pair)
        else:
            # Nobody asks for it, as far as we know.
            self.dirty_pairs.add(pair)
            if self._judging:
                self._judge(pair)

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
            for device, reports in self._reports_of_device.items():
                if reports and not self.liveness.has_beat(device):
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

    def load_desired(self, cells: Mapping[Pair, Cell], count: int) -> bool:
        """Fold in what `count` live keys hold while `loading`; False, and nothing was done, if one was told before."""
        if len(cells) != count or not self.desired.keys().isdisjoint(cells):
            return False
        self.desired.update(cells)
        self.vanished.difference_update(cells)
        self.live_keys += count
        self.dirty_pairs.update(cells)
        keys_of = self._keys_of_deployment
        for pair in cells:
            keys_of[pair.deployment].add(pair)
        return True

    def load_reports(self, reports: Mapping[Pair, Report], count: int) -> bool:
        """Fold in `count` reports while `loading`; False, and nothing was done, if one was told before."""
        if len(reports) != count or not self.reports.keys().isdisjoint(reports):
            return False
        self.reports.update(reports)
        reports_of = self._reports_of_device
        for device, deployment in reports:
            reports_of[device].add(deployment)
        return True

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
        for pairs in (self.desired, self.reports):
            for pair in list(filterfalse(self._standings.__contains__, pairs)):
                self._judge(pair)

    # Questions

    def is_matched(self, pair: Pair) -> bool:
        return pair in self._standings

    def is_settled(self, pair: Pair) -> bool:
        """Whether the key holds this very Deployment's score."""
        return pair in self._settled

    def reported(self, device: DeviceId) -> list[Pair]:
        """The pairs that a device reports about."""
        return [Pair(device, deployment) for deployment in sorted(self._reports_of_device.get(device, ()))]

    # Matching and counting

    def _link(self, deployment: DeploymentName, devices: Collection[DeviceId]) -> None:
        """These pairs are matched from now on. A replay passes here once for each of them."""
        tally = self.tallies[deployment]
        self.matched[deployment].update(devices)
        pairs = [Pair(device, deployment) for device in devices]
        standings = list(map(self._standing, pairs))
        self._standings.update(zip(pairs, standings, strict=True))
        tally.unsettled += len(pairs) - len(self._settled.intersection(pairs))
        for standing, count in Counter(standings).items():
            tally.counts[standing] += count
        if Standing.FAILED in standings:
            for pair, standing in zip(pairs, standings, strict=True):
                if standing is Standing.FAILED:
                    self._note_failure(pair, standing)
        if self._judging:
            for pair in pairs:
                self._judge(pair)
        self.dirty_pairs.update(pairs)
        self.dirty_status.add(deployment)

    def _unlink(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            self.matched[pair.deployment].discard(pair.device)
            tally = self.tallies[pair.deployment]
            tally.counts[self._standings.pop(pair)] -= 1
            tally.unsettled -= pair not in self._settled
            tally.set_failure(pair.device, None)
            self._judge(pair)
            self.dirty_pairs.add(pair)
            self.dirty_status.add(pair.deployment)

    def _judge(self, pair: Pair) -> None:
        """Keep `unwanted` true for one pair."""
        if not self._judging:
            return
        unwanted = False
        if pair not in self._standings:
            cell = self.desired.get(pair)
            unwanted = pair in self.reports if cell is None else not cell.deleted
        if unwanted != (pair in self.unwanted):
            step = 1 if unwanted else -1
            self.unwanted_of_deployment[pair.deployment] += step
            self.unwanted_of_device[pair.device] += step
            if unwanted:
                self.unwanted.add(pair)
            else:
                self.unwanted.remove(pair)
                # The last key of an object that is being deleted lets it go; nor is there anything left to complain of.
                self.dirty_deployments.add(pair.deployment)
                self.dirty_devices.add(pair.device)
                self.dirty_status.add(pair.deployment)

    def _resettle(self, pair: Pair) -> None:
        """The key or its Deployment changed: compare them once, here, and not at every report."""
        deployment, cell = self.deployments.get(pair.deployment), self.desired.get(pair)
        value = cell.value if cell is not None else None
        settled = deployment is not None and value is not None and self._comparisons.is_wanted(deployment, value)
        if settled != (pair in self._settled):
            if pair in self._standings:
                self.tallies[pair.deployment].unsettled += -1 if settled else 1
                self.dirty_status.add(pair.deployment)
            if settled:
                self._settled.add(pair)
            else:
                self._settled.discard(pair)
        self.dirty_pairs.add(pair)
        self._judge(pair)
        self._reclassify(pair)

    def _settle_keys(self, deployment: Deployment) -> None:
        """A Deployment is new, or asks for something else: judge all keys that it has."""
        name = deployment.name
        keys, matched = self._keys_of_deployment[name], self.matched[name]
        if matched:
            self.dirty_pairs.update([Pair(device, name) for device in matched])
            for pair in keys:
                self._resettle(pair)
            return
        # Nothing counts yet: what a first replay brings.
        cells, is_wanted, settled = self.desired, self._comparisons.is_wanted, self._settled
        for pair in keys:
            value = cells[pair].value
            if value is not None and is_wanted(deployment, value):
                settled.add(pair)
            else:
                settled.discard(pair)
        self.dirty_pairs |= keys

    def _reclassify(self, pair: Pair) -> None:
        """An input of the pair's standing changed: move it between the counts if it is matched."""
        old = self._standings.get(pair)
        if old is None:
            return
        new = self._standing(pair)
        if new is not old:
            self._standings[pair] = new
            counts = self.tallies[pair.deployment].counts
            counts[old] -= 1
            counts[new] += 1
            self.dirty_status.add(pair.deployment)
        if new is Standing.FAILED or old is Standing.FAILED:
            self._note_failure(pair, new)
            self.dirty_status.add(pair.deployment)

    def _reclassify_device(self, device: DeviceId) -> None:
        for deployment in self._matcher.deployments_of(device):
            self._reclassify(Pair(device, deployment))

    def _standing(self, pair: Pair) -> Standing:
        """A report counts while its device is not silent, the key is settled and the report is about that key."""
        report = self.reports.get(pair)
        if report is None:
            return Standing.PENDING
        if pair.device not in self.liveness.alive:
            standing = _COUNTED.get(self.liveness.verdict(pair.device))
            if standing is not None:
                return standing
        cell = self.desired.get(pair)
        if cell is None or cell.value is None or pair not in self._settled:
            return Standing.PENDING
        owner = cell.value.owner
        if report.uid != owner.uid or report.generation < owner.generation:
            return Standing.PENDING
        return STANDING_OF_PHASE[report.phase]

    def _note_failure(self, pair: Pair, standing: Standing) -> None:
        failure = None
        if standing is Standing.FAILED:
            report = self.reports[pair]
            failure = Failure(report.last_event_at, pair.device, report.last_error or "")
        self.tallies[pair.deployment].set_failure(pair.device, failure)
