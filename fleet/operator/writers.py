"""The two loops that write: desired-state as soon as something changed, status once a second.

Neither writes anything unless every source is current. A conflict means that somebody else was faster: what they wrote
comes back through the sources, and the decision is made again on it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from nats.js.client import JetStreamContext

from fleet.bus import writes
from fleet.errors import Conflict, PeerError
from fleet.kube.client import KubeClient
from fleet.logs import get_logger
from fleet.operator.decide import Put, decide_pair, decide_status, is_orphan, status_patch
from fleet.operator.echo import Echoes
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.wire import Bucket, DeploymentName, Pair, desired_key

TICK_S = 1.0
_WRITES_AT_ONCE_MAX = 128
_PATCHES_AT_ONCE_MAX = 8
_RETRY_S = 1.0
# A tick that takes longer than this is not slow, it hangs.
_TICK_LATE_S = 10.0

T = TypeVar("T")


class DesiredWriter:
    """Brings desired-state to what the CRs ask for."""

    def __init__(self, state: FleetState, recovery: Recovery, js: JetStreamContext, metrics: Metrics) -> None:
        self._state = state
        self._recovery = recovery
        self._js = js
        self._metrics = metrics
        self._echoes: Echoes[Pair] = Echoes()
        self._wake = asyncio.Event()
        self._log = get_logger("desired")

    def wake(self) -> None:
        self._wake.set()

    def heard(self, pair: Pair) -> None:
        """The bucket showed news of `pair`."""
        if self._echoes.heard(pair):
            self._state.dirty_pairs.add(pair)

    def restarted(self) -> None:
        """The bucket is replayed from the start."""
        self._state.dirty_pairs.update(self._echoes.restarted())

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._recovery.converged:
                await self._round()

    async def _round(self) -> None:
        """Decide and write what is dirty now."""
        dirty = [pair for pair in self._state.dirty_pairs if pair not in self._echoes]
        self._state.dirty_pairs.difference_update(dirty)
        orphans = [pair for pair in dirty if is_orphan(self._state, pair)]
        if orphans:
            self._log.warning("orphans_left", count=len(orphans), example=desired_key(min(orphans)))
        failed: list[Pair] = []
        written = await _bounded(_WRITES_AT_ONCE_MAX, dirty, lambda pair: self._bring(pair, failed))
        if written or failed:
            self._log.info("desired_written", writes=written + len(failed), failed=len(failed))
        if failed:
            # Whoever is away says so at its source; here we only keep from hammering.
            asyncio.get_running_loop().call_later(_RETRY_S, self._retry, failed)

    def _retry(self, pairs: Iterable[Pair]) -> None:
        self._state.dirty_pairs.update(pairs)
        self.wake()

    async def _bring(self, pair: Pair, failed: list[Pair]) -> bool:
        """Decide on what is known by now, and write. True if it was stored."""
        if not self._recovery.converged:
            # A source was lost since the round began; what is true now is decided after the replay.
            self._state.dirty_pairs.add(pair)
            return False
        decision = decide_pair(self._state, pair)
        if decision is None:
            return False
        key = desired_key(pair)
        operation = "put" if isinstance(decision, Put) else "delete"
        self._echoes.began(pair)
        try:
            if isinstance(decision, Put):
                await writes.put(self._js, Bucket.DESIRED_STATE, key, decision.value, expected=decision.expected)
            else:
                await writes.delete(self._js, Bucket.DESIRED_STATE, key, expected=decision.expected)
        except PeerError as e:
            self._echoes.forget(pair)
            failed.append(pair)
            outcome = "conflict" if isinstance(e, Conflict) else "failed"
            self._metrics.writes.labels(operation, outcome).inc()
            self._log.warning("desired_write_failed", key=key, operation=operation, outcome=outcome, reason=str(e))
            return False
        self._metrics.writes.labels(operation, "stored").inc()
        if self._echoes.acknowledged(pair):
            self._state.dirty_pairs.add(pair)
            self.wake()
        return True


class StatusTicker:
    """Patches each Deployment whose status changed, at most once a tick."""

    def __init__(
        self,
        state: FleetState,
        recovery: Recovery,
        kube: KubeClient,
        metrics: Metrics,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._recovery = recovery
        self._kube = kube
        self._metrics = metrics
        self._now = now
        self._echoes: Echoes[DeploymentName] = Echoes()
        self._converged = asyncio.Event()
        self._log = get_logger("status")
        self._due_at: float | None = None

    def wake(self) -> None:
        """Recovery may have converged: the first tick after that does not wait for the second to pass."""
        if self._recovery.converged:
            self._converged.set()

    def heard(self, name: DeploymentName) -> None:
        """The informer showed news of the Deployment `name`."""
        if self._echoes.heard(name):
            self._state.dirty_status.add(name)

    def restarted(self) -> None:
        """Deployments are listed from the start."""
        self._state.dirty_status.update(self._echoes.restarted())

    @property
    def late_s(self) -> float:
        """By how much the tick is overdue, 0 if it is not."""
        if self._due_at is None:
            return 0.0
        return max(0.0, asyncio.get_running_loop().time() - self._due_at)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._due_at = None
            await self._converged.wait()
            started = loop.time()
            self._due_at = started + _TICK_LATE_S
            with self._metrics.tick_seconds.time():
                await self.tick()
            await asyncio.sleep(max(0.0, started + TICK_S - loop.time()))
            if not self._recovery.converged:
                self._converged.clear()

    async def tick(self) -> None:
        """Patch what changed. What could not be patched stays dirty for the next tick."""
        if not self._recovery.converged:
            return
        dirty = [name for name in self._state.dirty_status if name not in self._echoes]
        self._state.dirty_status.difference_update(dirty)
        await _bounded(_PATCHES_AT_ONCE_MAX, sorted(dirty), self._patch)

    async def _patch(self, name: DeploymentName) -> bool:
        """True if a patch was stored."""
        deployment = self._state.deployments.get(name)
        if deployment is None:
            return False
        if not self._recovery.converged:
            self._state.dirty_status.add(name)
            return False
        status = decide_status(deployment, self._state.tallies[name], self._now())
        if status is None:
            return False
        self._echoes.began(name)
        try:
            version = await self._kube.patch_status("deployments", name, status_patch(deployment, status))
        except PeerError as e:
            self._echoes.forget(name)
            self._state.dirty_status.add(name)
            outcome = "conflict" if isinstance(e, Conflict) else "failed"
            self._metrics.patches.labels(outcome).inc()
            self._log.warning("status_patch_failed", deployment=name, outcome=outcome, reason=str(e))
            return False
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


async def _bounded(limit: int, items: Sequence[T], job: Callable[[T], Awaitable[bool]]) -> int:
    """Do `job` for each item, at most `limit` at once; for how many it returned True. An exception ends them all."""
    turns = iter(items)
    count = 0

    async def worker() -> None:
        nonlocal count
        for item in turns:
            # Not `count += await`: that reads the count before it waits.
            counts = await job(item)
            count += counts

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, len(items))):
            group.create_task(worker())
    return count
