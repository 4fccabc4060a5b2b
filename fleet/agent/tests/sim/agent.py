"""One life of the agent: the loop of each slot, as the worker has it, a deed taking time and a look growing old."""

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fleet.agent.memory import Memory
from fleet.agent.model import Failure, Reason, Slot
from fleet.agent.reconcile import Scene
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble
from fleet.agent.steps import Create, Deed, Prepare, Remove, Rest, Start, Stop, Wait
from fleet.wire import DeploymentName

if TYPE_CHECKING:
    from fleet.agent.tests.sim.world import World


class Idle(NamedTuple):
    """Go on after as many seconds, or when something changed."""

    for_s: float


Pauses: TypeAlias = Iterator["float | Idle"]
"""A process of the world: it goes on after as many seconds."""

_AGAIN_S = 0.3


class Agent:
    """What it knows dies with it; what it may have asked of podman before does not."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.memories: dict[Slot, Memory] = {}
        self._begun: dict[Slot, Deed] = {}

    def killed(self) -> None:
        """A request that had arrived takes effect all the same."""
        for deed in self._begun.values():
            if self.world.chance.random() < 0.5:
                with suppress(RuntimeTrouble):
                    self._take_effect(deed)

    def spawn(self) -> None:
        """A loop for each slot that is wanted, or that has a container of a deployment which is known."""
        world = self.world
        for name in [name for name, specs in world.disk.items() if not specs and self._is_gone(name)]:
            del world.disk[name]
        known = {s.slot for d in world.disk.values() for s in d.values()}
        left = {b.listed.slot for b in world.podman.boxes.values() if b.listed.slot.deployment in world.disk}
        for slot in sorted(known | left):
            if slot not in self.memories:
                self.memories[slot] = Memory()
                world.run(self._slot(slot), self)

    def _is_gone(self, deployment: DeploymentName) -> bool:
        return not any(box.listed.slot.deployment == deployment for box in self.world.podman.boxes.values())

    def _slot(self, slot: Slot) -> Pauses:
        world = self.world
        while True:
            version = world.version
            try:
                listed = world.podman.containers()
            except RuntimeAway:
                yield _AGAIN_S
                continue
            yield world.took()
            wanted = world.disk.get(slot.deployment, {})
            containers = [c for c in listed if c.slot.deployment == slot.deployment]
            own = [c for c in containers if c.slot == slot]
            memory = self.memories[slot].seen(wanted.get(slot.service), own, world.now, world.chance.random())
            self.memories[slot] = memory
            scene = Scene(slot, wanted, containers, memory, world.now)
            step = world.next_step(scene)
            match step:
                case Rest() if scene.spec is None and not own:
                    del self.memories[slot]
                    return
                case Rest() | Wait():
                    if version == world.version:
                        yield Idle(step.until_s - world.now if isinstance(step, Wait) else math.inf)
                case _:
                    world.judge.decided(scene, step)
                    world.tell(f"{slot.deployment}/{slot.service}", step)
                    yield from self._carry_out(step, scene)

    def _carry_out(self, deed: Deed, scene: Scene) -> Pauses:
        world, slot = self.world, scene.slot
        try:
            if isinstance(deed, Stop):
                self._probe(deed)
                world.judge.stopping(deed, scene.spec)
                self._begun[slot] = deed
                yield world.podman.stop_takes_s(deed.container.id)
            else:
                self._begun[slot] = deed
                yield world.took()
            del self._begun[slot]
            self._take_effect(deed)
            answered = world.chance.random() > 0.05
            yield world.took()
            if answered:
                self.memories[slot] = self.memories[slot].done(deed, world.now)
        except RuntimeAway:
            self._begun.pop(slot, None)
            yield _AGAIN_S
        except RuntimeTrouble as e:
            self._begun.pop(slot, None)
            failure = Failure(e.reason, str(e))
            self.memories[slot] = self.memories[slot].failed(deed, failure, world.now, world.chance.random())

    def _probe(self, stop: Stop) -> None:
        if taken := self.world.podman.taken(stop.probe):
            raise RuntimeTrouble(Reason.PORT_TAKEN, str(taken))

    def _take_effect(self, deed: Deed) -> None:
        podman = self.world.podman
        match deed:
            case Prepare(spec):
                podman.prepare(spec)
            case Create(spec):
                podman.create(spec)
            case Stop(container):
                podman.stop(container.id)
            case Start(container):
                podman.start(container.id)
            case Remove(container):
                podman.remove(container.id)
        self.world.changed()
