"""The whole simulated world, driven by one seed under virtual time.

mutations and small steps, mixed by chance -> settle (nothing changes any more) -> compare
-> restart -> nothing is written
"""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import accumulate
from unittest import mock

from fleet.operator import sweep
from fleet.operator.tests.sim import reference
from fleet.operator.tests.sim.admin import Admin
from fleet.operator.tests.sim.agents import Agent
from fleet.operator.tests.sim.broker import BucketModel
from fleet.operator.tests.sim.chance import Chance
from fleet.operator.tests.sim.judge import Judge
from fleet.operator.tests.sim.kube import KubeModel
from fleet.operator.tests.sim.process import Process, Surroundings
from fleet.operator.tests.sim.story import RuleError, Story
from fleet.operator.tests.sim.tasks import Network
from fleet.wire import Bucket, DeviceId

# Small worlds have few keys: the brake's free number is scaled down with them.
KEYS_FREE = 3
STALE_AFTER_S = 8.0
_BEGIN_S = 1_790_000_000.0
_QUIET_S = 3 * STALE_AFTER_S
_SETTLE_S_MAX = 400.0
_ROUNDS_MAX = 400

Actor = Callable[[], None]


class World:
    """Everything there is. `run` raises RuleError."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_s = _BEGIN_S
        self.story = Story(lambda: self.now_s - _BEGIN_S)
        chance = self._chance = Chance(seed)
        self._schedule = chance.of("schedule")
        plan = chance.of("plan")
        self._mutations = plan.randint(30, 150)
        self._gap = plan.choice([10, 25, 60])
        self._step_s = plan.choice([0.005, 0.02, 0.06])
        self.processes_max = plan.choice([1, 2, 2])
        loss = plan.choice([0.0, 0.0, 0.02, 0.1])
        self.kube = KubeModel(self._object_changed)
        self.judge = Judge(self.kube, lambda: self.now_s, KEYS_FREE)
        self.buckets = {bucket: BucketModel(bucket, lambda: self.now_s) for bucket in Bucket}
        for bucket in self.buckets.values():
            bucket.stored = self.judge.stored
        self.agents: dict[str, Agent] = {}
        self.processes: list[Process] = []
        self._lives = 0
        # Requests of processes that are no more.
        self._ghosts: list[Network] = []
        self._actors: list[Actor] = []
        self._weights: list[float] = []
        self._around = Surroundings(
            self.kube,
            self.buckets,
            self.judge,
            self.story,
            now_s=lambda: self.now_s,
            stale_after_s=STALE_AFTER_S,
            loss=loss,
            ask_again=self._ask_again,
        )
        self._asking = chance.of("asking")
        self._admin = Admin(self, chance.of("admin"))

    def run(self) -> None:
        with mock.patch.object(sweep, "KEYS_FREE", KEYS_FREE):
            self._admin.begin()
            for _ in range(self._mutations):
                for _ in range(self._schedule.randint(0, 2 * self._gap)):
                    self._step()
                self._admin.act()
            self._heal()
            self._settle()
            reference.compare(self.kube, self.buckets, self.now_s, STALE_AFTER_S)
            self._restart()

    # What happens in the world

    def new_agent(self, name: DeviceId, labels: Mapping[str, str]) -> Agent:
        chance = self._chance.of(f"agent {name}")
        agent = self.agents[name] = Agent(
            name, labels, self.buckets, now_s=lambda: self.now_s, chance=chance, story=self.story
        )
        self._cast()
        return agent

    def start(self) -> Process:
        self._lives += 1
        name = f"operator-{self._lives}"
        process = Process(name, self._around, self._chance.of(name))
        self.processes.append(process)
        self._cast()
        return process

    def end(self, process: Process) -> None:
        """It crashes; what it sent stays under way."""
        self.processes.remove(process)
        self._ghosts.append(process.network)
        self._cast()

    def approve(self) -> str:
        """Somebody runs `fleet approve-sweep`."""
        question = self.kube.question
        if not question or question == self.kube.approved:
            return ""
        self.judge.approved(question)
        self.kube.approved = question
        return question

    def _ask_again(self) -> None:
        for agent in self.agents.values():
            agent.asked |= self._asking.random() < 0.7

    def _object_changed(self, kind: str, name: str) -> None:
        self.judge.object_changed(kind, name)

    # The scheduler

    def _cast(self) -> None:
        """Who may be next, and how likely: in each world some feeds lag more than others."""
        actors: list[tuple[Actor, float]] = [(agent.step, 0.3) for agent in self.agents.values()]
        actors += [(ghost.step, 0.5) for ghost in self._ghosts]
        for process in self.processes:
            lags = self._chance.of(f"lag of {process.name}")
            actors += [(_feed_step(process, name), lags.choice([0.3, 2.0, 5.0])) for name in process.feeds]
            actors += [(_task_step(process, number), lags.choice([0.5, 3.0])) for number in range(len(process.tasks))]
            actors += [(process.step_timers, 0.3), (process.step_network, 4.0)]
        self._actors = [actor for actor, _ in actors]
        self._weights = list(accumulate(weight for _, weight in actors))

    def _step(self) -> None:
        chance = self._schedule
        if self._actors:
            (actor,) = chance.choices(self._actors, cum_weights=self._weights)
            actor()
        jump = chance.random() < 0.01
        self.now_s += chance.uniform(0.3, 3.0) if jump else chance.random() * self._step_s

    def _heal(self) -> None:
        """From here on nothing changes but by operators and devices, and nobody is away."""
        self.story.tell("-- everything heals")
        for kind, name in sorted(self.kube.unreadable):
            self.kube.mark(kind, name, readable=True)
        if not self.processes:
            self.start()
        self._around.loss = 0.0
        for network in (*self._ghosts, *(process.network for process in self.processes)):
            network.loss = 0.0
        for process in self.processes:
            process.connected = True
            process.go_on()

    def _settle(self) -> None:
        """Let everything come to rest; whoever never rests is in a loop."""
        began_s = quiet_since_s = self.now_s
        writes = self.judge.writes
        while self.now_s - quiet_since_s < _QUIET_S:
            if self.now_s - began_s > _SETTLE_S_MAX:
                raise RuleError(f"S12: writing does not end within {_SETTLE_S_MAX:g} s of an unchanged world")
            for agent in self.agents.values():
                agent.settle()
            self._drain()
            self.approve()
            if self.judge.writes != writes:
                writes, quiet_since_s = self.judge.writes, self.now_s
            self.now_s += 1.0

    def _drain(self) -> None:
        """Let everybody do what there is to do now."""
        order = random.Random(self._schedule.random())  # noqa: S311 - a simulation, and it must repeat
        for _ in range(_ROUNDS_MAX):
            actors = list(_busy(self.processes, self._ghosts))
            if not actors:
                return
            order.shuffle(actors)
            for actor in actors:
                actor()
        raise RuleError("S12: nobody rests, though time stands still")

    def _restart(self) -> None:
        self.story.tell("-- all operators are started again")
        for process in list(self.processes):
            self.end(process)
        self.start()
        writes = self.judge.writes
        self._settle()
        if self.judge.writes != writes:
            raise RuleError("S12: a restarted operator writes in an unchanged world")
        reference.compare(self.kube, self.buckets, self.now_s, STALE_AFTER_S)


def _busy(processes: list[Process], ghosts: list[Network]) -> Iterator[Actor]:
    """Steps that are more than waiting."""
    for process in processes:
        for name, feed in process.feeds.items():
            if feed.behind:
                yield _feed_step(process, name)
        for number, task in enumerate(process.tasks):
            if task.is_ready():
                yield _task_step(process, number)
        if process.network.under_way:
            yield process.step_network
        if process.has_due():
            yield process.step_timers
    for ghost in ghosts:
        if ghost.under_way:
            yield ghost.step


def _feed_step(process: Process, name: str) -> Actor:
    return lambda: process.step_feed(name)


def _task_step(process: Process, number: int) -> Actor:
    return lambda: process.step_task(process.tasks[number])


@contextmanager
def told(world: World) -> Iterator[None]:
    """A violation is told with its story and how to see it again."""
    try:
        yield
    except Exception as e:
        raise RuleError(
            f"{world.story.written()}\nseed {world.seed}: {str(e) or repr(e)}\n"
            f"rerun: .venv/bin/python -m fleet.operator.tests.sim --seed {world.seed}"
        ) from e


def run(seed: int) -> World:
    """Run one seed to its end. Raises RuleError with the story."""
    world = World(seed)
    with told(world):
        world.run()
    return world
