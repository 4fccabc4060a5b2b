"""The steps of `fleet.operator.status_ticker`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fleet.errors import Conflict, PeerError
from fleet.kube.objects import Deployment
from fleet.operator.echo import Echoes
from fleet.operator.status import decide_status, status_patch
from fleet.operator.tally import Standing
from fleet.operator.tests.sim.agents import moment
from fleet.operator.tests.sim.tasks import Steps, together
from fleet.wire import DeploymentName

if TYPE_CHECKING:
    from fleet.operator.tests.sim.process import Process

_TICK_S = 1.0


class StatusTicker:
    """Writes status."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self._state = process.state
        self._echoes: Echoes[DeploymentName] = Echoes()
        self._awake = False
        self._foreign = True

    def wake(self) -> None:
        self._awake = True

    def heard(self, name: DeploymentName, *, status_changed: bool) -> None:
        if status_changed and name not in self._echoes:
            self._foreign = True
        if self._echoes.heard(name):
            self._state.dirty_status.add(name)

    def restarted(self) -> None:
        self._foreign = True
        self._state.dirty_status.update(self._echoes.restarted())

    def run(self) -> Steps[None]:
        while True:
            yield lambda: self._awake
            yield from self._tick()
            yield self._process.after(_TICK_S)
            if not self._process.recovery.converged:
                self._awake = False

    def _tick(self) -> Steps[None]:
        process, state = self._process, self._state
        if not process.recovery.converged:
            return
        state.advance(process.now_s())
        process.memory.judge_silence(state, process.around.now_s())
        if self._foreign:
            self._foreign = False
            try:
                yield from self.caught_up()
            except PeerError:
                self._foreign = True
                return
        dirty = [name for name in state.dirty_status if name not in self._echoes]
        state.dirty_status.difference_update(dirty)
        epoch = process.epoch
        yield from together(process.chance, [self._patch(name, epoch) for name in sorted(dirty)])

    def caught_up(self) -> Steps[None]:
        return self._process.caught_up()

    def _patch(self, name: DeploymentName, epoch: int) -> Steps[bool]:
        process, state = self._process, self._state
        deployment = state.deployments.get(name)
        if deployment is None:
            return False
        process.check()
        if not process.recovery.converged or self._foreign or epoch != process.epoch:
            state.dirty_status.add(name)
            return False
        trouble = process.sweeper.trouble(name) or process.desired.trouble(name)
        tally = state.standings.tallies[name]
        status = decide_status(deployment, tally, moment(process.wall_s()), trouble)
        if status is None:
            if tally.counts[Standing.UNDECIDED]:
                state.dirty_status.add(name)
            return False
        process.sends(epoch)
        self._echoes.began(name)
        try:
            version = yield from self.patch(deployment, status)
        except PeerError as e:
            self._echoes.forget(name)
            state.dirty_status.add(name)
            self._foreign |= isinstance(e, Conflict)
            return False
        if version == deployment.resource_version:
            self._echoes.forget(name)
            return False
        if self._echoes.acknowledged(name):
            state.dirty_status.add(name)
        return True

    def patch(self, deployment: Deployment, status: Mapping[str, object]) -> Steps[str]:
        process, name = self._process, deployment.name
        kube, story, reached = process.around.kube, process.around.story, process.reached()
        patch = status_patch(deployment, status)

        def act() -> str:
            before = kube.deployments.get(name)
            version = kube.patch_status(name, patch)
            assert before is not None
            story.tell("{} patches status of {}: {}", process.name, name, status)
            process.around.judge.patched_status(
                process.name, before, kube.deployments[name], "metadata" in patch, reached
            )
            return version

        return (yield from process.ask_kube(act))
