"""Watches what the core decides and what comes of it, and says when a rule is broken."""

from collections import defaultdict, deque
from collections.abc import Callable, Mapping

from fleet.agent.model import Container, ServiceSpec, Slot
from fleet.agent.reconcile import Scene
from fleet.agent.steps import Create, Prepare, Remove, Rest, Start, Step, Stop, Wait
from fleet.agent.tests.fake_podman import FakePodman

_SLACK_S = 0.2
"""The core decides on a list that is as old; what somebody else changed meanwhile it cannot know."""
_DEEDS_MAX, _WITHIN_S = 60, 5.0
_RUNS = ((), ("deaf",))
"""What a container is told that does not end by itself."""


class RuleError(AssertionError):
    """The simulated device saw a rule broken."""


class Judge:
    """Knows the whole truth of the device."""

    def __init__(self, podman: FakePodman, now: Callable[[], float]) -> None:
        self._podman = podman
        self._now = now
        self._vanished_at: dict[tuple[Slot, str], float] = {}
        self._stopped: dict[str, str] = {}
        """Containers that were stopped for a replacement, by id, and the digest of that."""
        self._deeds: dict[Slot, deque[float]] = defaultdict(lambda: deque(maxlen=_DEEDS_MAX))

    def vanished(self, container: Container) -> None:
        """Somebody else removed it."""
        self._vanished_at[container.slot, container.digest] = self._now()

    def decided(self, scene: Scene, step: Step) -> None:
        spec = scene.spec
        match step:
            case Rest() | Wait():
                return
            case Stop(container) | Remove(container):
                if spec is not None:
                    self._clears(scene, step, spec, container)
            case Start(container):
                if spec is None or (container.digest != spec.digest and self._is_let_go(container, spec)):
                    raise RuleError(f"roll-forward: {step} although it is an old one")
                if any(container.id == each.id for each in self._podman.running(scene.slot)):
                    raise RuleError(f"healthy-untouched: {step} although it runs")
            case Create(wanted) | Prepare(wanted):
                if wanted != spec or self._is_made(wanted, slack=False):
                    raise RuleError(f"needless: {step}")
        deeds = self._deeds[scene.slot]
        deeds.append(self._now())
        if len(deeds) == _DEEDS_MAX and deeds[-1] - deeds[0] < _WITHIN_S:
            raise RuleError(f"busy: {scene.slot} has done {_DEEDS_MAX} things in {deeds[-1] - deeds[0]:.1f} s")

    def _clears(self, scene: Scene, step: Stop | Remove, spec: ServiceSpec, container: Container) -> None:
        if container.digest == spec.digest:
            raise RuleError(f"healthy-untouched: {step} although it is the wanted one")
        if isinstance(step, Remove):
            return
        if not self._is_made(spec):
            raise RuleError(f"last-good: {step} although its replacement was not created")
        if holder := self._keeps_a_port(scene, spec):
            raise RuleError(f"last-good: {step} although {holder} holds a port and was not replaced")

    def stopping(self, stop: Stop, spec: ServiceSpec | None) -> None:
        """Its probe found every port free."""
        if spec is not None:
            self._stopped[stop.container.id] = spec.digest
        if spec is not None and (taken := spec.host_ports & self._podman.strangers):
            raise RuleError(f"last-good: {stop} although {sorted(taken)} is held by a stranger")

    def changed(self) -> None:
        """After anything that changed containers."""
        active: dict[Slot, Container] = {}
        for box in self._podman.boxes.values():
            if not box.listed.active:
                continue
            other = active.setdefault(box.listed.slot, box.listed)
            if other is not box.listed:
                raise RuleError(f"one-runs: {other.name} and {box.listed.name} run at the same time")

    def calm(self, wanted: Mapping[Slot, ServiceSpec]) -> None:
        """Only what cannot be made is amiss, and all pauses are over: what went before it runs."""
        for slot, spec in wanted.items():
            own = [box for box in self._podman.boxes.values() if box.listed.slot == slot]
            if len(own) != 1 or own[0].listed.digest == spec.digest or own[0].spec.service.command not in _RUNS:
                continue
            ports = own[0].listed.host_ports
            promised = any(ports & other.host_ports for at, other in wanted.items() if at != slot)
            if not own[0].listed.active and not promised:
                raise RuleError(f"kept-up: {own[0].listed.name} is {own[0].listed.state}, and {spec} is not made")

    def settled(self, wanted: Mapping[Slot, ServiceSpec]) -> None:
        """The faults are over, and the core has nothing to do any more."""
        listed = [box.listed for box in self._podman.boxes.values()]
        there = sorted((c.slot, c.digest, c.state.value) for c in listed)
        expected = sorted((slot, spec.digest, "running") for slot, spec in wanted.items())
        if there != expected:
            raise RuleError(f"reference: {there} instead of {expected}")

    def _is_let_go(self, container: Container, spec: ServiceSpec) -> bool:
        """Its replacement is there, or was when it was stopped; unless somebody else took that away."""
        stopped_for = self._stopped.get(container.id, "")
        vanished = (container.slot, stopped_for) in self._vanished_at
        return self._is_made(spec, slack=False) or (stopped_for != "" and not vanished)

    def _keeps_a_port(self, scene: Scene, spec: ServiceSpec) -> str | None:
        """Another slot's container that holds a port which is needed, and that nothing is about to stop."""
        for c in scene.containers:
            theirs = scene.wanted.get(c.slot.service)
            needed = c.slot != scene.slot and c.active and c.host_ports & spec.host_ports
            if needed and theirs is not None and not self._is_made(theirs):
                return c.name
        return None

    def _is_made(self, spec: ServiceSpec, *, slack: bool = True) -> bool:
        made = any(
            box.listed.slot == spec.slot and box.listed.digest == spec.digest for box in self._podman.boxes.values()
        )
        vanished_at = self._vanished_at.get((spec.slot, spec.digest), -1.0)
        return made or (slack and self._now() - vanished_at < _SLACK_S)
