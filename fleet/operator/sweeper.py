"""Gives orphans to the writer as the brake lets them through, and asks an administrator about the others.

The question stands in a ConfigMap of the namespace; `fleet approve-sweep` answers it there.
"""

import asyncio
from collections.abc import Callable, Sequence

from fleet.errors import PeerError
from fleet.logs import get_logger
from fleet.operator import approval
from fleet.operator.decide import is_orphan, is_told
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.parts import Parts
from fleet.operator.status import Trouble
from fleet.operator.sweep import Brake, HeldSweep
from fleet.wire import Bucket, DeploymentName, Pair

_EVERY_S = 1.0


class Sweeper:
    """Looks once a second at what nobody wants."""

    def __init__(self, parts: Parts, writer: DesiredWriter) -> None:
        self.brake = Brake()
        self._state = parts.state
        self._recovery = parts.recovery
        self._kube = parts.kube
        self._announcer = parts.announcer
        self._health = parts.health
        self._metrics = parts.metrics
        self._writer = writer
        self._asked: HeldSweep | None = None
        # One who was here before us may have left a question, and a yes to it.
        self._inherited = True
        self._held_of: dict[DeploymentName, int] = {}
        self._log = get_logger("sweep")

    def trouble(self, name: DeploymentName) -> Trouble | None:
        """What the Synced condition of a Deployment says of keys that are held back."""
        count = self._held_of.get(name, 0)
        if not count:
            return None
        return Trouble("SweepHeld", f"{count} keys that nobody wants wait for `fleet approve-sweep`")

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            going = await self._definitions_going()
            if self._recovery.converged:
                await self._look(going, loop.time)
            await asyncio.sleep(_EVERY_S)

    async def _look(self, going: Sequence[str], now_s: Callable[[], float]) -> None:
        pairs = sorted(self._state.unwanted.pairs)
        told = [pair for pair in pairs if is_told(self._state, pair)]
        if told and not going:
            self._writer.sweep(told)
        if not self._recovery.sources[Bucket.DEVICE_INFO.value].current:
            # Nobody can say yet whose device is about to be registered.
            return
        orphans = [p for p in pairs if is_orphan(self._state, p) or (going and is_told(self._state, p))]
        approved = None
        if self._asked is not None and self._asked == self.brake.held:
            approved = await self._answer()
            if not self._recovery.converged:
                return
        empty = [
            kind
            for kind, objects in (("Deployments", self._state.deployments), ("Devices", self._state.devices))
            if not objects
        ]
        released = self.brake.release(
            orphans, live_keys=self._state.desired.live, empty=empty, going=going, approved=approved, now_s=now_s()
        )
        if released:
            self._writer.sweep(released)
        self._mark(orphans, set(released))
        held = self._health.sweep = self.brake.held
        self._metrics.sweep_held.set(0 if held is None else held.count)
        if held != self._asked or self._inherited:
            await self._ask(held, {pair.deployment for pair in orphans})

    def _mark(self, orphans: list[Pair], released: set[Pair]) -> None:
        """Which Deployments are held up, for their Synced condition."""
        held_of: dict[DeploymentName, int] = {}
        for pair in orphans:
            if pair not in released:
                held_of[pair.deployment] = held_of.get(pair.deployment, 0) + 1
        for name in held_of.keys() | self._held_of.keys():
            if held_of.get(name) != self._held_of.get(name) and name in self._state.deployments:
                self._state.dirty_status.add(name)
        self._held_of = held_of

    async def _definitions_going(self) -> tuple[str, ...]:
        """Those that a writer found to be going and that still are."""
        if self._state.definitions_going:
            try:
                self._state.definitions_going = await self._kube.definitions_going()
            except PeerError as e:
                self._log.warning("definitions_not_read", reason=str(e))
        return self._state.definitions_going

    async def _answer(self) -> str | None:
        try:
            return await approval.approved(self._kube)
        except PeerError as e:
            self._log.warning("approval_not_read", reason=str(e))
            return None

    async def _ask(self, held: HeldSweep | None, concerned: set[DeploymentName]) -> None:
        if held is None and self._asked is not None:
            self._log.info("sweep_released")
        elif held is not None:
            self._log.warning("sweep_held", id=held.id, count=held.count, reason=held.reason, examples=held.examples)
        try:
            await approval.ask(self._kube, held)
        except PeerError as e:
            self._log.warning("sweep_not_asked", reason=str(e))
            return
        asked_before, self._asked, self._inherited = self._asked, held, False
        if held is not None and (asked_before is None or asked_before.id != held.id):
            for name in sorted(concerned):
                self._announcer.sweep_held(name, held)
