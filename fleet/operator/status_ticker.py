"""Patches each Deployment whose status changed, at most once a second, while every source is current.

Two operators may run. Each patch is fenced by the object's version, and after somebody else's patch we first see what
they can have seen: then no status ever goes back to an older world.

A patch that fails stays due for the next tick. Many that fail are trouble of the API server's: the tick gives up, and
the ticks come with pauses that grow until one gets through.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from fleet.backoff import Backoff
from fleet.errors import Conflict, NotFound, PeerError
from fleet.kube.objects import Deployment
from fleet.logs import get_logger
from fleet.operator.bounded import bounded
from fleet.operator.echo import Echoes
from fleet.operator.parts import Parts
from fleet.operator.status import Json, Trouble, decide_status, status_patch
from fleet.operator.tally import Standing
from fleet.wire import DeploymentName

TICK_S = 1.0
_PATCHES_AT_ONCE_MAX = 8
# One Deployment may be refused for reasons of its own; so many in one tick are not.
_FAILURES_MAX = 8
# A tick that takes longer than this is not slow, it hangs.
_TICK_LATE_S = 10.0


class StatusTicker:
    """The one that writes status."""

    def __init__(
        self,
        parts: Parts,
        *,
        trouble: Callable[[DeploymentName], Trouble | None],
        caught_up: Callable[[], Awaitable[None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = parts.state
        self._recovery = parts.recovery
        self._kube = parts.kube
        self._standstill = parts.standstill
        self._metrics = parts.metrics
        self._trouble = trouble
        self._caught_up = caught_up
        self._now = now
        self._echoes: Echoes[DeploymentName] = Echoes()
        # Whose status was shown to change since our patch of it began: one change is ours, the next is somebody else's.
        self._shown: set[DeploymentName] = set()
        self._converged = asyncio.Event()
        self._log = get_logger("status")
        self._due_at: float | None = None
        # Whose last patch failed, and which failure that was.
        self._failed: dict[DeploymentName, int] = {}
        self._failures = 0
        self._failures_before = 0
        self._backoff = Backoff()
        # Somebody else may have patched, on news that we have yet to get.
        self._foreign = True
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    def wake(self) -> None:
        """Recovery may have converged: the first tick after that does not wait for the second to pass."""
        if self._recovery.converged:
            self._converged.set()

    def heard(self, name: DeploymentName, *, status_changed: bool) -> None:
        """The informer showed news of the Deployment `name`."""
        if status_changed:
            if name in self._echoes and name not in self._shown:
                self._shown.add(name)
            else:
                self._foreign = True
        if self._echoes.heard(name):
            self._state.dirty_status.add(name)

    def restarted(self) -> None:
        """Deployments are listed from the start."""
        self._foreign = True
        self._state.dirty_status.update(self._echoes.restarted())

    @property
    def late_s(self) -> float:
        """By how much the tick is overdue, 0 if it is not."""
        if self._due_at is None:
            return 0.0
        return max(0.0, asyncio.get_running_loop().time() - self._due_at)

    async def finish(self) -> None:
        """Begin no tick any more; on return, none is under way."""
        self._stopping = True
        await self._idle.wait()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._due_at = None
            await self._converged.wait()
            started = loop.time()
            self._due_at = started + _TICK_LATE_S
            if not self._stopping:
                self._idle.clear()
                try:
                    with self._metrics.tick_seconds.time():
                        await self.tick()
                finally:
                    self._idle.set()
            await asyncio.sleep(max(0.0, started + TICK_S - loop.time()) + self._pause_s())
            if not self._recovery.converged:
                self._converged.clear()

    async def tick(self) -> None:
        """Patch what changed. What could not be patched stays dirty for the next tick."""
        self._failures_before = self._failures
        if not self._recovery.converged:
            return
        self._state.advance(asyncio.get_running_loop().time())
        if self._foreign:
            self._foreign = False
            try:
                await self._caught_up()
            except PeerError as e:
                self._foreign = True
                self._log.warning("not_caught_up", reason=str(e))
                return
        dirty = [name for name in self._state.dirty_status if name not in self._echoes]
        self._state.dirty_status.difference_update(dirty)
        epoch = self._standstill.epoch
        # In turn, those that never failed first: however many are refused for ever, the others are not kept waiting.
        dirty.sort(key=lambda name: (self._failed.get(name, 0), name))
        await bounded(_PATCHES_AT_ONCE_MAX, dirty, lambda name: self._patch(name, epoch))

    @property
    def _gave_up(self) -> bool:
        return self._failures - self._failures_before >= _FAILURES_MAX

    def _pause_s(self) -> float:
        """What comes on top of the time between two ticks."""
        if self._gave_up:
            return self._backoff.delay_s(lasted_s=0.0)
        self._backoff = Backoff()
        return 0.0

    async def _patch(self, name: DeploymentName, epoch: int) -> bool:
        """True if a patch was stored."""
        deployment = self._state.deployments.get(name)
        if deployment is None:
            self._failed.pop(name, None)
            return False
        self._standstill.check()
        if self._gave_up or not self._recovery.converged or self._foreign or epoch != self._standstill.epoch:
            self._state.dirty_status.add(name)
            return False
        tally = self._state.standings.tallies[name]
        status = decide_status(deployment, tally, self._now(), self._trouble(name))
        if status is None:
            if tally.counts[Standing.UNDECIDED]:
                self._state.dirty_status.add(name)
            return False
        return await self._store(deployment, status)

    async def _store(self, deployment: Deployment, status: Json) -> bool:
        name = deployment.name
        self._echoes.began(name)
        self._shown.discard(name)
        try:
            version = await self._kube.patch_status("deployments", name, status_patch(deployment, status))
        except PeerError as e:
            self._echoes.forget(name)
            self._state.dirty_status.add(name)
            if isinstance(e, NotFound):
                # The informer is about to say so.
                return False
            if isinstance(e, Conflict):
                # The news that came while we asked may have been theirs, and not the echo of ours.
                self._foreign = True
            else:
                self._failures += 1
                self._failed[name] = self._failures
            outcome = "conflict" if isinstance(e, Conflict) else "failed"
            self._metrics.patches.labels(outcome).inc()
            self._log.warning("status_patch_failed", deployment=name, outcome=outcome, reason=str(e))
            return False
        self._failed.pop(name, None)
        if version == deployment.resource_version:
            # The server took our status for the one it has, so no news of it will come.
            self._echoes.forget(name)
            self._metrics.patches.labels("unchanged").inc()
            self._log.warning("status_patch_changed_nothing", deployment=name)
            return False
        self._metrics.patches.labels("stored").inc()
        if self._echoes.acknowledged(name):
            self._state.dirty_status.add(name)
        return True
