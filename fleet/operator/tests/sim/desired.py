"""The steps of `fleet.operator.desired_writer`, each `yield` a moment at which anything may happen first."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from fleet.errors import Conflict, PeerError
from fleet.kube.objects import Deployment, Device
from fleet.operator.decide import Delete, Fresh, Put, confirm, decide_pair, decide_swept
from fleet.operator.echo import Echoes
from fleet.operator.status import Trouble
from fleet.operator.tests.sim.kube import DEPLOYMENTS, DEVICES
from fleet.operator.tests.sim.tasks import Steps, together
from fleet.wire import Bucket, DeploymentName, DeviceId, Pair, desired_key

if TYPE_CHECKING:
    from fleet.operator.tests.sim.process import Process

_RETRY_S = 1.0

Decision = Put | Delete


class DesiredWriter:
    """Writes desired-state."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._state = process.state
        self._echoes: Echoes[Pair] = Echoes()
        self._swept: set[Pair] = set()
        self._troubles: dict[DeploymentName, Trouble] = {}
        self._told: set[Pair] = set()
        self._awake = False

    def wake(self) -> None:
        self._awake = True

    def sweep(self, pairs: Iterable[Pair]) -> None:
        released = {pair for pair in pairs if pair not in self._echoes}
        if released - self._swept:
            self._swept |= released
            self._awake = True

    def heard(self, pair: Pair) -> None:
        if self._echoes.heard(pair):
            self._state.dirty_pairs.add(pair)

    def restarted(self) -> None:
        self._state.dirty_pairs.update(self._echoes.restarted())

    def trouble(self, name: DeploymentName) -> Trouble | None:
        if not self._state.standings.tallies[name].unsettled and not self._state.unwanted.of_deployment[name]:
            self._troubles.pop(name, None)
        return self._troubles.get(name)

    def run(self) -> Steps[None]:
        while True:
            yield lambda: self._awake
            self._awake = False
            if self._process.recovery.converged:
                yield from self._round()

    def _round(self) -> Steps[None]:
        state = self._state
        dirty = [pair for pair in state.dirty_pairs if pair not in self._echoes]
        state.dirty_pairs.difference_update(dirty)
        swept, self._swept = sorted(self._swept), set()
        plain: list[Decision] = []
        checked: list[Decision] = []
        for pair in sorted(dirty):
            decision = decide_pair(state, pair)
            if isinstance(decision, Put) and not decision.check_afresh:
                plain.append(decision)
            elif decision is not None:
                checked.append(decision)
        checked += [d for pair in swept if (d := decide_swept(state, pair)) is not None]
        # For the judge: why we decided so may have changed before it is written.
        self._told = {decision.pair for decision in checked if self.is_told(decision.pair)}
        failed: list[Pair] = []
        epoch = self._process.epoch
        yield from together(self._process.chance, [self._bring(decision, epoch, failed) for decision in plain])
        if checked:
            yield from self._bring_checked(checked, failed)
        if failed:
            self._process.later(_RETRY_S, lambda: self._retry(failed))

    def _retry(self, pairs: Iterable[Pair]) -> None:
        self._state.dirty_pairs.update(pairs)
        self._awake = True

    def _bring_checked(self, decisions: Sequence[Decision], failed: list[Pair]) -> Steps[None]:
        epoch = self._process.epoch
        pairs = [decision.pair for decision in decisions]
        try:
            fresh = yield from self.read_afresh(pairs)
        except PeerError:
            failed.extend(pairs)
            return
        confirmed: list[Decision] = []
        for decision in decisions:
            again = confirm(self._state, decision, fresh)
            if again is not None:
                confirmed.append(again)
            elif decision.pair in self._state.unwanted.pairs or not self._state.desired.is_settled(decision.pair):
                failed.append(decision.pair)
        yield from together(self._process.chance, [self._bring(d, epoch, failed) for d in confirmed])

    def read_afresh(self, pairs: Iterable[Pair]) -> Steps[Fresh]:
        """One request each, as `fleet.operator.fresh` does it for few."""
        deployments: dict[DeploymentName, Deployment] = {}
        devices: dict[DeviceId, Device] = {}
        unreadable: set[str] = set()
        problems: list[PeerError] = []
        kube = self._process.around.kube

        def read(kind: str, name: str) -> Steps[bool]:
            def act() -> None:
                item = kube.of(kind).get(name)
                if (kind, name) in kube.unreadable:
                    unreadable.add(name)
                elif isinstance(item, Deployment):
                    deployments[item.name] = item
                elif isinstance(item, Device):
                    devices[item.name] = item

            try:
                yield from self._process.ask_kube(act)
            except PeerError as e:
                problems.append(e)
            return True

        chance = self._process.chance
        yield from together(chance, [read(DEPLOYMENTS, name) for name in sorted({p.deployment for p in pairs})])
        yield from together(chance, [read(DEVICES, name) for name in sorted({p.device for p in pairs})])
        if problems:
            raise problems[0]
        return Fresh(deployments, devices, unreadable)

    def _bring(self, decision: Decision, epoch: int, failed: list[Pair]) -> Steps[bool]:
        process, pair = self._process, decision.pair
        process.check()
        if not self.may_write(epoch):
            self._state.dirty_pairs.add(pair)
            return False
        if not self.holds(decision):
            self._state.dirty_pairs.add(pair)
            self._awake = True
            return False
        process.sends(epoch)
        self._echoes.began(pair)
        try:
            yield from process.ask_nats(self.write(decision))
        except PeerError as e:
            self._echoes.forget(pair)
            failed.append(pair)
            if not isinstance(e, Conflict) and pair.deployment not in self._troubles:
                self._troubles[pair.deployment] = Trouble("WriteFailed", str(e))
                self._state.dirty_status.add(pair.deployment)
            return False
        if self._troubles.pop(pair.deployment, None) is not None:
            self._state.dirty_status.add(pair.deployment)
        if self._echoes.acknowledged(pair):
            self._state.dirty_pairs.add(pair)
            self._awake = True
        return True

    def may_write(self, epoch: int) -> bool:
        return self._process.recovery.converged and epoch == self._process.epoch

    def fence(self, decision: Decision) -> int | None:
        return decision.expected

    def write(self, decision: Decision) -> Callable[[], None]:
        """What the broker does once this arrives there; what we knew is what we know as we send it."""
        process, pair, key = self._process, decision.pair, desired_key(decision.pair)
        bucket, judge, story = process.around.buckets[Bucket.DESIRED_STATE], process.around.judge, process.around.story
        value = decision.value if isinstance(decision, Put) else None
        told, vanished, expected = pair in self._told, pair in process.vanished, self.fence(decision)

        def act() -> None:
            before = bucket.messages.get(key)
            if expected is not None and (before.revision if before is not None else 0) != expected:
                raise Conflict(key)
            if bucket.exists:
                story.tell("{} {} {} over {}", process.name, "deletes" if value is None else "puts", key, expected)
                judge.writes_desired(process.name, key, before, value, expected, told=told, vanished=vanished)
            bucket.store(key, value, expected)

        return act

    def is_told(self, pair: Pair) -> bool:
        """Whether an object says that the pair is to go, as we know it; written down once more on purpose."""
        deployment, device = self._state.deployments.get(pair.deployment), self._state.devices.get(pair.device)
        if device is not None and (device.blocked or device.deleting):
            return True
        return deployment is not None and deployment.deleting

    def holds(self, decision: Decision) -> bool:
        pair = decision.pair
        cell = self._state.desired.cells.get(pair)
        if (cell.revision if cell is not None else 0) != decision.expected:
            return False
        if isinstance(decision, Delete):
            return pair in self._state.unwanted.pairs
        return pair in self._state.standings and not self._state.desired.is_settled(pair)
