"""What is to be done next in one slot, from what the runtime lists now. Pure.

    no right container    prepare the image -> create        whatever runs there, runs on; while that fails,
                                                             one that ended by itself is started again
    created, an old runs  stop the old (its own signal and grace)
    created or ended      start                              after a pause if it failed before
    it runs               remove what else is there -> rest

There is no journal: where a roll stands is told by the containers alone, so it goes on after a kill anywhere. Once the
new one was made it only goes forward: an old container is never started again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.agent.attempts import Attempts
from fleet.agent.memory import STUCK_S, Memory
from fleet.agent.model import Container, ContainerState, ServiceSpec, Slot
from fleet.agent.port_order import holders, may_let_go, to_probe
from fleet.agent.steps import (
    Create,
    Prepare,
    Remove,
    Rest,
    Start,
    Step,
    Stop,
    Wait,
    Wanted,
    last_good,
    right_container,
)

_FOR_NEWS = Wait(math.inf)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a step depends on. `containers` are those of the whole deployment."""

    slot: Slot
    wanted: Wanted
    containers: Sequence[Container]
    memory: Memory
    now_s: float

    @property
    def spec(self) -> ServiceSpec | None:
        return self.wanted.get(self.slot.service)

    @property
    def own(self) -> list[Container]:
        return [c for c in self.containers if c.slot == self.slot]


def next_step(scene: Scene) -> Step:
    spec, own = scene.spec, scene.own
    right = right_container(spec, own)
    others = [c for c in own if c is not right]
    if spec is None:
        return _clear(scene, others) or Rest()
    if right is None:
        return _make(scene, spec)
    if right.state is ContainerState.RUNNING:
        return _clear(scene, others) or Rest()
    if right.state is ContainerState.OTHER:
        return _clear(scene, others) or _until_stuck(scene)
    return _cut_over(scene, spec, right, others)


def _make(scene: Scene, spec: ServiceSpec) -> Step:
    tries = scene.memory.raising.at(spec.digest)
    if tries.paused(scene.now_s):
        return _keep_up(scene, spec, tries.not_before_s)
    return Create(spec) if scene.memory.prepared == spec.digest else Prepare(spec)


def _keep_up(scene: Scene, spec: ServiceSpec, until_s: float) -> Step:
    """Until then it cannot be made: meanwhile the last good runs, also after a power cut or an end of its own."""
    old = last_good(spec, scene.own)
    if old is None or old.active or _promised(old, scene):
        return Wait(until_s)
    tries = scene.memory.keeping.at(old.id)
    return Wait(min(until_s, tries.not_before_s)) if tries.paused(scene.now_s) else Start(old)


def _promised(old: Container, scene: Scene) -> bool:
    """A port of it is by now another service's, which must not wait for it."""
    return any(old.host_ports & spec.host_ports for spec in scene.wanted.values() if spec.slot != old.slot)


def _cut_over(scene: Scene, spec: ServiceSpec, right: Container, others: Sequence[Container]) -> Step:
    tries = scene.memory.raising.at(spec.digest)
    pause = Wait(tries.not_before_s) if tries.paused(scene.now_s) else None
    active = [c for c in others if c.active]
    if active:
        if not may_let_go(spec, scene.wanted, scene.containers):
            return _FOR_NEWS
        return pause or _get_rid(scene, _first(active), to_replace=spec)
    if holders(spec, scene.wanted, scene.containers):
        pause = _FOR_NEWS
    return (_tidy(scene, others) or pause) if pause else Start(right)


def _clear(scene: Scene, others: Sequence[Container]) -> Step | None:
    """Stop what runs, then remove what does not; one at a time. None if there is nothing."""
    return _get_rid(scene, _first(others)) if others else None


def _get_rid(scene: Scene, of: Container, *, to_replace: ServiceSpec | None = None) -> Step:
    tries = _clearing(scene, of)
    if tries.paused(scene.now_s):
        return Wait(tries.not_before_s)
    if not of.active:
        return Remove(of)
    if of.state is ContainerState.OTHER and (patience := _until_stuck(scene)) != _FOR_NEWS:
        return patience
    return Stop(of) if to_replace is None else Stop(of, to_probe(to_replace, scene.wanted, scene.containers))


def _tidy(scene: Scene, others: Sequence[Container]) -> Step | None:
    """Remove one that does not run, while there is nothing better to do: else they would pile up."""
    if others and not _clearing(scene, first := _first(others)).paused(scene.now_s):
        return Remove(first)
    return None


def _first(others: Sequence[Container]) -> Container:
    order = [ContainerState.RUNNING, ContainerState.OTHER, ContainerState.EXITED, ContainerState.CREATED]
    return min(others, key=lambda c: (order.index(c.state), c.id))


def _clearing(scene: Scene, container: Container) -> Attempts:
    return scene.memory.clearing.at(container.id)


def _until_stuck(scene: Scene) -> Wait:
    """Paused, say: for a while that is somebody else's business, and ends."""
    since_s = scene.memory.odd_since_s
    stuck_at_s = scene.now_s if since_s is None else since_s + STUCK_S
    return Wait(stuck_at_s) if scene.now_s < stuck_at_s else _FOR_NEWS
