"""One life of an operator: the real pure core, fed by lagging feeds, with the shell's steps around it."""

import random
from collections.abc import Callable, Mapping
from typing import TypeVar

from fleet.errors import PeerAway
from fleet.kube.objects import Deployment, Device
from fleet.operator.decoding import Report
from fleet.operator.desired_keys import Cell
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.operator.tests.sim.agents import moment
from fleet.operator.tests.sim.books import InformerBooks, ReplicaBooks
from fleet.operator.tests.sim.broker import BucketModel, Message
from fleet.operator.tests.sim.desired import DesiredWriter
from fleet.operator.tests.sim.feeds import Feeds, InformerFeed, Reached, ReplicaFeed
from fleet.operator.tests.sim.judge import Judge, decode
from fleet.operator.tests.sim.kube import DEPLOYMENTS, DEVICES, Change, KubeModel
from fleet.operator.tests.sim.memory import Memory
from fleet.operator.tests.sim.objects import ObjectWriter
from fleet.operator.tests.sim.status import StatusTicker
from fleet.operator.tests.sim.story import RuleError, Story
from fleet.operator.tests.sim.sweeper import Sweeper
from fleet.operator.tests.sim.tasks import Network, Steps, Task, Wait
from fleet.wire import (
    Bucket,
    DeploymentName,
    DeviceId,
    Pair,
    parse_desired_key,
    parse_heartbeat_key,
    parse_info_key,
    parse_state_key,
)

BUCKETS = (Bucket.DESIRED_STATE, Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT, Bucket.DEVICE_INFO)
GATING = (DEPLOYMENTS, DEVICES, *(bucket.value for bucket in BUCKETS[:3]))
STILL_S = 1.0

T = TypeVar("T")


class Surroundings:
    """What a process finds around it."""

    def __init__(
        self,
        kube: KubeModel,
        buckets: Mapping[Bucket, BucketModel],
        judge: Judge,
        story: Story,
        *,
        now_s: Callable[[], float],
        stale_after_s: float,
        loss: float,
        ask_again: Callable[[], None],
    ) -> None:
        self.kube = kube
        self.buckets = buckets
        self.judge = judge
        self.story = story
        self.now_s = now_s
        self.stale_after_s = stale_after_s
        self.loss = loss
        self.ask_again = ask_again


class Process:
    """The parts and how they are wired, as `fleet.operator.main` and `sources` do it."""

    def __init__(self, name: str, around: Surroundings, chance: random.Random) -> None:
        self.name = name
        self.around = around
        self.chance = chance
        self.state = FleetState(around.stale_after_s)
        self.recovery = Recovery(GATING, (Bucket.DEVICE_INFO.value,))
        self.network = Network(chance, around.loss)
        # Monotonic times of different processes have nothing in common, and their wall clocks little.
        self._clock_s = chance.uniform(0, 10_000)
        self._wall_s = chance.choice([0.0, 0.0, 3600.0, -30.0])
        self.connected = True
        self.stopped = False
        self.epoch = 0
        self._stopped_at_s = 0.0
        self._still_s = 0.0
        self._timers: list[tuple[float, Callable[[], None]]] = []
        # Keys that we were told were live, and then that they left no trace: kept here once more, for the judge.
        self.vanished: set[Pair] = set()
        self.memory = Memory(around.stale_after_s)
        self.desired = DesiredWriter(self)
        self.sweeper = Sweeper(self)
        self.status = StatusTicker(self)
        self.objects = ObjectWriter(self)
        self.feeds: Feeds = self._make_feeds()
        self.tasks = [
            Task(steps) for steps in (self.desired.run(), self.sweeper.run(), self.status.run(), self.objects.run())
        ]

    def _make_feeds(self) -> dict[str, InformerFeed | ReplicaFeed]:
        around, chance = self.around, self.chance
        feeds: dict[str, InformerFeed | ReplicaFeed] = {}
        for kind in (DEPLOYMENTS, DEVICES):
            feeds[kind] = InformerFeed(around.kube, kind, InformerBooks(self, kind), chance)
        folds: dict[Bucket, Callable[[str, Message | None], None]] = {
            Bucket.DESIRED_STATE: self._fold_desired,
            Bucket.DEVICE_STATE: self._fold_report,
            Bucket.DEVICE_HEARTBEAT: self._fold_beat,
            Bucket.DEVICE_INFO: self._fold_info,
        }
        for bucket, fold in folds.items():
            feeds[bucket.value] = ReplicaFeed(
                around.buckets[bucket],
                ReplicaBooks(self, bucket, fold),
                chance,
                now_s=around.now_s,
                is_connected=lambda: self.connected,
            )
        return feeds

    # Time and standing still

    def now_s(self) -> float:
        """Our monotonic clock."""
        return self.around.now_s() + self._clock_s

    def wall_s(self) -> float:
        return self.around.now_s() + self._wall_s

    def after(self, seconds: float) -> Wait:
        until_s = self.around.now_s() + seconds
        return lambda: self.around.now_s() >= until_s

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._timers.append((self.around.now_s() + seconds, call))

    def check(self) -> None:
        """As `Standstill.check`. Slow steps are no standstill, only `stop` is."""
        still_s, self._still_s = self._still_s, 0.0
        if still_s > STILL_S:
            self.stood_still()

    def stood_still(self) -> None:
        self.epoch += 1
        self.around.story.tell("{} notices that it stood still", self.name)
        for feed in self.feeds.values():
            if isinstance(feed, InformerFeed):
                feed.broken("stood still")
            else:
                feed.recheck("stood still")

    def stop(self) -> None:
        if not self.stopped:
            self.stopped = True
            self._stopped_at_s = self.around.now_s()

    def go_on(self) -> None:
        if self.stopped:
            self.stopped = False
            self._still_s += self.around.now_s() - self._stopped_at_s

    def disconnect(self) -> None:
        self.connected = False
        for feed in self.feeds.values():
            if isinstance(feed, ReplicaFeed):
                feed.broken("connection lost")

    def break_watch(self, kind: str) -> None:
        feed = self.feeds[kind]
        assert isinstance(feed, InformerFeed)
        feed.broken("reset")

    # Steps

    def step_network(self) -> None:
        """What was sent goes on its way, whatever became of us."""
        self.network.step()

    def step_feed(self, name: str) -> None:
        if not self.stopped:
            self.feeds[name].step()

    def step_task(self, task: Task) -> None:
        if not self.stopped:
            task.step()

    def step_timers(self) -> None:
        """The pulse of `Standstill`, and what is to be done again."""
        if self.stopped:
            return
        self.check()
        due = [call for at_s, call in self._timers if at_s <= self.around.now_s()]
        if due:
            self._timers = [(at_s, call) for at_s, call in self._timers if at_s > self.around.now_s()]
            for call in due:
                call()

    def has_due(self) -> bool:
        return any(at_s <= self.around.now_s() for at_s, _ in self._timers)

    def wake(self) -> None:
        if self.recovery.converged:
            self.desired.wake()
            self.objects.wake()
            self.status.wake()

    # Requests

    def sends(self, epoch: int) -> None:
        """A write that was decided in `epoch` is about to be sent."""
        if epoch != self.epoch or self._still_s > STILL_S:
            raise RuleError(f"R8: {self.name} writes what it decided before it stood still")
        self.around.judge.sending(self.name, {name: self.feeds[name].current for name in GATING})

    def ask_kube(self, act: Callable[[], T]) -> Steps[T]:
        return (yield from self.network.send(act))

    def ask_nats(self, act: Callable[[], T]) -> Steps[T]:
        if not self.connected:
            raise PeerAway("not connected")
        return (yield from self.network.send(act))

    def caught_up(self) -> Steps[None]:
        for bucket in BUCKETS:
            feed = self.feeds[bucket.value]
            assert isinstance(feed, ReplicaFeed)
            yield from feed.caught_up()

    def reached(self) -> tuple[Reached, ...]:
        return tuple(self.feeds[bucket.value].reached for bucket in BUCKETS)

    # Folds

    def fold_object(self, kind: str, change: Change) -> None:
        name, item = change.name, change.item
        if not change.readable:
            (self.state.unreadable_deployments if kind == DEPLOYMENTS else self.state.unreadable_devices).add(name)
            return
        if kind == DEVICES:
            if isinstance(item, Device):
                self.state.upsert_device(item)
            else:
                self.state.remove_device(DeviceId(name))
        elif isinstance(item, Deployment):
            old = self.state.deployments.get(item.name)
            self.state.upsert_deployment(item)
            self.status.heard(item.name, status_changed=old is not None and old.status != item.status)
        else:
            self.state.remove_deployment(DeploymentName(name))
            self.status.heard(DeploymentName(name), status_changed=False)
        self.wake()

    def _fold_desired(self, key: str, message: Message | None) -> None:
        pair = parse_desired_key(key)
        if message is None:
            old = self.state.desired.cells.get(pair)
            if old is not None and not old.deleted:
                self.vanished.add(pair)
            self.state.desire(pair, None)
        else:
            self.vanished.discard(pair)
            value = decode(message.value)
            self.state.desire(pair, Cell(message.revision, value, deleted=message.value is None))
        self.desired.heard(pair)

    def _fold_report(self, key: str, message: Message | None) -> None:
        pair = parse_state_key(key)
        if message is None or message.value is None:
            self.memory.reports.pop(pair, None)
            self.state.report(pair, None)
        elif isinstance(message.value, Report):
            self.memory.told(pair, message.value, moment(message.at_s))
            self.state.report(pair, message.value, moment(message.at_s))
            self.memory.compare(pair, self.state)

    def _fold_beat(self, key: str, message: Message | None) -> None:
        device = parse_heartbeat_key(key)
        if message is not None and message.value is not None:
            self.memory.beat(device, message.at_s)
            self.state.beat(device, message.at_s)
        elif message is not None:
            self.memory.forget_beat(device)
            self.state.beat_forgotten(device)

    def _fold_info(self, key: str, message: Message | None) -> None:
        labels = None if message is None else message.value
        assert labels is None or isinstance(labels, dict)
        self.state.introduce(parse_info_key(key), labels)
