"""A device whose time is virtual: the agent's core, a model of podman, and whatever a seed deals them."""

import heapq
import itertools
import math
import random
from collections.abc import Callable, Mapping

from fleet.agent.model import ServiceSpec, Slot
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Step
from fleet.agent.tests.fake_podman import FakePodman
from fleet.agent.tests.sim.agent import Agent, Idle, Pauses
from fleet.agent.tests.sim.judge import Judge, RuleError
from fleet.wire import DeploymentName

SETTLED_WITHIN_S = 2000.0
NextStep = Callable[[Scene], Step]


class World:
    """`disk` is what the agent has kept of its desired states: it survives a kill. An empty one is a tombstone."""

    def __init__(self, seed: int, decide: NextStep = next_step) -> None:
        self.now = 0.0
        self.version = 0
        self.turns = 0
        self.chance = random.Random(f"{seed}/agent")  # noqa: S311 - a simulation, and it must repeat
        self.next_step = decide
        self.podman = FakePodman()
        self.judge = Judge(self.podman, lambda: self.now)
        self.disk: dict[DeploymentName, Mapping[str, ServiceSpec]] = {}
        self.agent: Agent | None = None
        self._told: list[tuple[float, str, object]] = []
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Pauses, Agent | None]] = []
        self._idle: dict[Pauses, int] = {}
        self._stale: set[int] = set()

    @property
    def wanted(self) -> dict[Slot, ServiceSpec]:
        return {spec.slot: spec for specs in self.disk.values() for spec in specs.values()}

    def tell(self, who: str, what: object) -> None:
        self._told.append((self.now, who, what))

    def story(self) -> str:
        return "\n".join(f"{at:9.3f} {who}: {what}" for at, who, what in self._told)

    def took(self) -> float:
        """How long an answer of podman's takes."""
        return self.chance.uniform(0.001, 0.05)

    def changed(self) -> None:
        """Containers or desired states are not what they were: whoever waits for news looks."""
        self.judge.changed()
        self.version += 1
        for process, number in self._idle.items():
            self._stale.add(number)
            self._push(process, self.agent, 0.0)
        self._idle.clear()
        if self.agent is not None:
            self.agent.spawn()

    def start_agent(self) -> None:
        self.tell("agent", "starts")
        self.agent = Agent(self)
        self.agent.spawn()

    def kill_agent(self) -> None:
        if self.agent is None:
            return
        self.tell("agent", "is killed")
        dying, self.agent = self.agent, None
        self._idle.clear()
        dying.killed()

    def run(self, process: Pauses, owner: Agent | None = None) -> None:
        """`owner`: it dies with this agent."""
        self._push(process, owner, 0.0)

    def turn(self) -> bool:
        """Let the next process go on; False if nothing is left to happen."""
        if not self._due:
            return False
        self.now, number, process, owner = heapq.heappop(self._due)
        if number in self._stale or (owner is not None and owner is not self.agent):
            return True
        self.turns += 1
        if self.now > SETTLED_WITHIN_S:
            raise RuleError("reference: it does not settle")
        self._idle.pop(process, None)
        pause = next(process, None)
        if isinstance(pause, Idle):
            if owner is self.agent:
                self._idle[process] = self._push(process, owner, pause.for_s)
        elif pause is not None:
            self._push(process, owner, pause)
        return True

    def settle(self) -> None:
        """Let everything happen that still does, and look whether it ends well."""
        while self.turn():
            pass
        self.judge.settled(self.wanted)
        # One look more: whatever is done now breaks a rule of its own.
        self.changed()
        while self.turn():
            pass

    def _push(self, process: Pauses, owner: Agent | None, pause_s: float) -> int:
        number = next(self._numbers)
        if pause_s < math.inf:
            heapq.heappush(self._due, (self.now + pause_s, number, process, owner))
        return number
