"""The steps of `fleet.operator.sweeper`."""

from typing import TYPE_CHECKING

from fleet.errors import PeerError
from fleet.operator.decide import is_orphan, is_told
from fleet.operator.status import Trouble
from fleet.operator.sweep import Brake, HeldSweep
from fleet.operator.tests.sim.tasks import Steps
from fleet.wire import Bucket, DeploymentName, Pair

if TYPE_CHECKING:
    from fleet.operator.tests.sim.process import Process

_EVERY_S = 1.0


class Sweeper:
    """Looks once a second at what nobody wants."""

    brake_type = Brake

    def __init__(self, process: "Process") -> None:
        self.brake = self.brake_type()
        self._process = process
        self._state = process.state
        self._asked: HeldSweep | None = None
        # One who was here before us may have left a question, and a yes to it.
        self._inherited = True
        self._held_of: dict[DeploymentName, int] = {}

    def trouble(self, name: DeploymentName) -> Trouble | None:
        count = self._held_of.get(name, 0)
        return Trouble("SweepHeld", f"{count} keys that nobody wants wait") if count else None

    def run(self) -> Steps[None]:
        while True:
            if self._process.recovery.converged:
                yield from self._look()
            yield self._process.after(_EVERY_S)

    def _look(self) -> Steps[None]:
        process, state = self._process, self._state
        pairs = sorted(state.unwanted.pairs)
        told = [pair for pair in pairs if is_told(state, pair)]
        said = [pair for pair in pairs if process.desired.is_told(pair)]
        process.around.judge.told(process.name, told, said)
        if told:
            process.desired.sweep(told)
        if not process.recovery.sources[Bucket.DEVICE_INFO.value].current:
            return
        orphans = [pair for pair in pairs if is_orphan(state, pair)]
        unregistered = state.infos.keys() - state.devices.keys()
        approved = None
        if self._asked is not None and self._asked == self.brake.held:
            try:
                approved = yield from process.ask_kube(lambda: process.around.kube.approved)
            except PeerError:
                approved = None
            if not process.recovery.converged:
                return
        known = ("Deployments", state.deployments), ("Devices", state.devices)
        empty = [kind for kind, objects in known if not objects]
        released = self.brake.release(
            orphans, live_keys=state.desired.live, empty=empty, approved=approved, now_s=process.now_s()
        )
        process.around.judge.released(
            process.name,
            released,
            nothing_listed=bool(empty) and bool(state.desired.live),
            unregistered=unregistered,
        )
        if released:
            process.desired.sweep(released)
        self._mark(orphans, set(released))
        if self.brake.held != self._asked or self._inherited:
            yield from self._ask(self.brake.held, sorted(set(orphans) - set(released)))

    def _mark(self, orphans: list[Pair], released: set[Pair]) -> None:
        held_of: dict[DeploymentName, int] = {}
        for pair in orphans:
            if pair not in released:
                held_of[pair.deployment] = held_of.get(pair.deployment, 0) + 1
        for name in held_of.keys() | self._held_of.keys():
            if held_of.get(name) != self._held_of.get(name) and name in self._state.deployments:
                self._state.dirty_status.add(name)
        self._held_of = held_of

    def _ask(self, held: HeldSweep | None, waiting: list[Pair]) -> Steps[None]:
        around, name = self._process.around, self._process.name

        id_ = "" if held is None else held.id

        def act() -> None:
            if standing != id_:
                around.kube.approved = None
            around.kube.question = id_
            if held is not None:
                around.story.tell("{} asks about {}: {}", name, held.id, held.examples)
                around.judge.asked(held.id, waiting)

        try:
            standing = yield from self._process.ask_kube(lambda: around.kube.question)
            yield from self._process.ask_kube(act)
        except PeerError:
            return
        self._asked, self._inherited = held, False
