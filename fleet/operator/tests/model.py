"""A naive operator: it keeps the facts as last told, derives nothing, and answers each question from scratch.

Slow and short, so that it can be read against docs/contract.md. `Twin` tells it and the real one the same.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product

from fleet.kube.objects import Deployment, Device
from fleet.operator.decide import Delete, Put, decide_pair, decide_swept, is_orphan
from fleet.operator.decoding import Report
from fleet.operator.desired_keys import Cell
from fleet.operator.liveness import Verdict
from fleet.operator.state import FleetState
from fleet.operator.tally import Failure, Standing
from fleet.operator.tests.samples import LIMIT_S
from fleet.wire import DeploymentName, DesiredState, DeviceId, Owner, Pair, Phase, deployment_name, device_id

DEVICES = [device_id(name) for name in ("d1", "d2", "d.3")]
DEPLOYMENTS = [deployment_name(name) for name in ("web", "db")]
PAIRS = [Pair(d, n) for d, n in product(DEVICES, DEPLOYMENTS)]
Decision = Put | Delete | None


@dataclass
class Beats:
    """The heartbeats as the broker stored them, and every verdict in one loop over all devices."""

    last_s: dict[DeviceId, float] = field(default_factory=dict)
    verdicts: dict[DeviceId, Verdict] = field(default_factory=dict)
    unheard: Verdict = Verdict.UNKNOWN
    created_s: float = 0.0
    judged_of_s: float = 0.0
    # All that were ever stored, in their order, and which of them came after a pause that somebody was there to see.
    stored_s: list[float] = field(default_factory=lambda: [-math.inf])
    after_pause_s: list[float] = field(default_factory=lambda: [-math.inf])
    connected_at_s: float | None = None

    @property
    def newest_s(self) -> float:
        return max(self.stored_s)

    def beat(self, device: DeviceId, at_s: float) -> None:
        if self.connected_at_s is not None and at_s - self.newest_s > LIMIT_S / 2:
            self.after_pause_s.append(at_s)
        self.stored_s.append(at_s)
        if self.last_s.get(device) != at_s:
            self.last_s[device] = at_s
            self.verdicts[device] = Verdict.ALIVE

    def forget(self, device: DeviceId) -> None:
        self.last_s.pop(device, None)
        self.verdicts.pop(device, None)

    def advance(self, now_s: float) -> None:
        for device, at_s in self.last_s.items():
            if self.verdicts[device] is not Verdict.SILENT:
                judged = self._judge(at_s, now_s)
                self.verdicts[device] = self.verdicts[device] if judged is Verdict.ALIVE else judged
        judged = self._judge(self.created_s, now_s)
        if self.unheard is not Verdict.SILENT or self.judged_of_s != self.created_s:
            self.unheard, self.judged_of_s = judged, self.created_s

    def verdict(self, device: DeviceId) -> Verdict:
        return self.verdicts.get(device, self.unheard)

    def _judge(self, last_s: float, now_s: float) -> Verdict:
        if last_s >= max(self.newest_s, now_s) - LIMIT_S:
            return Verdict.ALIVE
        watched = self.connected_at_s is not None and now_s - self.connected_at_s > LIMIT_S
        # Somebody was heard when it was overdue already, and the broker had taken beats for as long.
        since_s = max(last_s, *self.after_pause_s)
        return Verdict.SILENT if watched or since_s < self.newest_s - LIMIT_S else Verdict.UNKNOWN


@dataclass
class Model:
    """The facts, and what follows from them."""

    pairs: Iterable[Pair]
    deployments: dict[DeploymentName, Deployment] = field(default_factory=dict)
    devices: dict[DeviceId, Device] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    infos: dict[DeviceId, Mapping[str, str]] = field(default_factory=dict)
    reports: dict[Pair, Report] = field(default_factory=dict)
    cells: dict[Pair, Cell] = field(default_factory=dict)
    vanished: set[Pair] = field(default_factory=set)
    beats: Beats = field(default_factory=Beats)

    # Facts

    def upsert_deployment(self, deployment: Deployment) -> None:
        self.deployments[deployment.name] = deployment
        self.unreadable.discard(deployment.name)

    def remove_deployment(self, name: DeploymentName) -> None:
        self.deployments.pop(name, None)
        self.unreadable.discard(name)

    def upsert_device(self, device: Device) -> None:
        self.devices[device.name] = device
        self.unreadable.discard(device.name)

    def remove_device(self, name: DeviceId) -> None:
        self.devices.pop(name, None)
        self.unreadable.discard(name)

    def introduce(self, device: DeviceId, labels: Mapping[str, str] | None) -> None:
        self.infos.pop(device, None)
        if labels is not None:
            self.infos[device] = labels

    def report(self, p: Pair, told: Report | None, stored_at: datetime | None = None) -> None:
        if told is None:
            self.reports.pop(p, None)
            return
        at = told.last_event_at if stored_at is None else min(told.last_event_at, stored_at)
        if p not in self.reports or self.reports[p].last_event_at <= at:
            self.reports[p] = Report(told.phase, at, told.uid, told.generation, told.last_error)

    def desire(self, p: Pair, cell: Cell | None) -> None:
        if cell is not None:
            self.cells[p] = cell
            self.vanished.discard(p)
        elif p in self.cells and not self.cells.pop(p).deleted:
            self.vanished.add(p)

    # What follows

    def wanted(self, p: Pair) -> bool:
        d, n = self.devices.get(p.device), self.deployments.get(p.deployment)
        if d is None or n is None or d.blocked or d.deleting or n.deleting:
            return False
        return all(d.labels.get(key) == value for key, value in n.selector.items())

    def settled(self, p: Pair) -> bool:
        n, value = self.deployments.get(p.deployment), self._value(p)
        return n is not None and value is not None and value.owner.uid == n.uid and value.score == n.score

    def standing(self, p: Pair) -> Standing:
        told, value = self.reports.get(p), self._value(p)
        if told is None:
            return Standing.PENDING
        match self.beats.verdict(p.device):
            case Verdict.SILENT:
                return Standing.STALE
            case Verdict.UNKNOWN:
                return Standing.UNDECIDED
            case Verdict.ALIVE:
                pass
        if value is None or not self.settled(p) or told.uid != value.owner.uid:
            return Standing.PENDING
        if told.generation < value.owner.generation or told.phase is Phase.PENDING:
            return Standing.PENDING
        return Standing.SUCCEEDED if told.phase is Phase.RUNNING else Standing.FAILED

    def matched(self, name: DeploymentName) -> list[Pair]:
        return [p for p in self.pairs if p.deployment == name and self.wanted(p)]

    def counts(self, name: DeploymentName) -> dict[Standing, int]:
        return {s: sum(self.standing(p) is s for p in self.matched(name)) for s in Standing}

    def last_failure(self, name: DeploymentName) -> Failure | None:
        failed = [(p, self.reports[p]) for p in self.matched(name) if self.standing(p) is Standing.FAILED]
        return max((Failure(r.last_event_at, p.device, r.last_error or "") for p, r in failed), default=None)

    def unsettled(self, name: DeploymentName) -> int:
        return sum(not self.settled(p) for p in self.matched(name))

    def unwanted(self) -> set[Pair]:
        live = {p for p, cell in self.cells.items() if not cell.deleted}
        traceless = {p for p in self.reports if p not in self.cells}
        return {p for p in live | traceless if not self.wanted(p)}

    def told(self, p: Pair) -> bool:
        d, n = self.devices.get(p.device), self.deployments.get(p.deployment)
        return (d is not None and (d.blocked or d.deleting)) or (n is not None and n.deleting)

    def orphans(self) -> set[Pair]:
        return {p for p in self.unwanted() if not self.told(p) and not self._beyond_judgement(p)}

    def decision(self, p: Pair) -> Decision:
        stored = self.cells.get(p)
        revision = stored.revision if stored else 0
        n = self.deployments.get(p.deployment)
        if n is None or not self.wanted(p):
            return Delete(p, revision) if p in self.unwanted() and self.told(p) else None
        if self.settled(p):
            return None
        value = self._value(p)
        if stored is None:
            risky = p in self.vanished
        else:
            risky = value is None or value.owner.uid != n.uid or value.owner.generation > n.generation
        return Put(p, DesiredState(Owner(n.uid, n.generation), n.score).encode(), revision, check_afresh=risky)

    def _value(self, p: Pair) -> DesiredState | None:
        stored = self.cells.get(p)
        return stored.value if stored is not None else None

    def _beyond_judgement(self, p: Pair) -> bool:
        unregistered = p.device in self.infos and p.device not in self.devices
        return unregistered or p.device in self.unreadable or p.deployment in self.unreadable


class Twin:
    """The real state and the model of it, told the same."""

    def __init__(self) -> None:
        self.state, self.model = FleetState(LIMIT_S), Model(PAIRS)
        self.now_s = 0.0
        self.state.liveness.opened(created_s=0.0, broker_now_s=0.0, now_s=0.0)

    def fold(self, name: str, *arguments: object) -> None:
        """Tell both; a name that is no method of this class is one that both have."""
        own: Callable[..., None] | None = getattr(self, name, None)
        if own is not None:
            own(*arguments)
            return
        for told in (self.state, self.model):
            getattr(told, name)(*arguments)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.state.advance(self.now_s)
        self.model.beats.advance(self.now_s)

    def beat(self, device: DeviceId) -> None:
        self.state.beat(device, self.now_s)
        self.model.beats.beat(device, self.now_s)

    def beat_forgotten(self, device: DeviceId) -> None:
        self.state.beat_forgotten(device)
        self.model.beats.forget(device)

    def reconnect(self) -> None:
        """Replay the heartbeats in full: each last beat comes again, in the order of storing."""
        self._open()
        for name, at_s in sorted(self.model.beats.last_s.items(), key=lambda item: item[1]):
            self.state.beat(name, at_s)
        self._connected()

    def remake(self) -> None:
        """The bucket of heartbeats was lost and made again, and is empty; what was heard was heard."""
        self.model.beats.created_s = self.now_s
        self._open()
        self._connected()

    def _open(self) -> None:
        self.state.liveness.broken()
        created_s = self.model.beats.created_s
        self.state.liveness.opened(created_s=created_s, broker_now_s=self.now_s, now_s=self.now_s)

    def _connected(self) -> None:
        self.state.liveness.connected(self.now_s)
        self.model.beats.connected_at_s = self.now_s

    def unreadable(self, name: DeviceId | DeploymentName) -> None:
        self.model.unreadable.add(name)
        (self.state.unreadable_devices if name in DEVICES else self.state.unreadable_deployments).add(name)

    def agree(self) -> None:
        """Compare everything that the state adjusts with a recount."""
        state, model = self.state, self.model
        wanted = {p for p in PAIRS if model.wanted(p)}
        assert {Pair(d, n) for n in DEPLOYMENTS for d in state.standings.devices_of(n)} == wanted
        assert {Pair(d, n) for d in DEVICES for n in state._matcher.deployments_of(d)} == wanted
        assert state.standings._standings == {p: model.standing(p) for p in wanted}
        assert {p for p in PAIRS if state.desired.is_settled(p)} == {p for p in PAIRS if model.settled(p)}
        assert state.standings.tallies.keys() <= state.deployments.keys() == model.deployments.keys()
        for name in DEPLOYMENTS:
            tally = state.standings.tallies[name] if name in state.deployments else None
            if tally is not None:
                assert tally.counts == model.counts(name)
                assert tally.unsettled == model.unsettled(name)
                assert tally.last_failure == model.last_failure(name)
            assert state.unwanted.of_deployment[name] == sum(p.deployment == name for p in model.unwanted())
        for d in DEVICES:
            assert state.unwanted.of_device[d] == sum(p.device == d for p in model.unwanted())
            assert state.reported(d) == sorted(p for p in model.reports if p.device == d)
        assert state.unwanted.pairs == model.unwanted()
        assert state.desired.vanished == model.vanished
        assert state.desired.live == sum(not stored.deleted for stored in model.cells.values())
        assert state.reports == model.reports
        assert {p: decide_pair(state, p) for p in PAIRS} == {p: model.decision(p) for p in PAIRS}
        assert {p for p in state.unwanted.pairs if is_orphan(state, p)} == model.orphans()
        assert {p for p in PAIRS if decide_swept(state, p)} == {p for p in model.unwanted() if model.told(p)} | (
            model.orphans()
        )
