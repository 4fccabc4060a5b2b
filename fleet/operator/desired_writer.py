"""Brings desired-state to what the objects ask for, as soon as something changed.

Nothing is written unless every source is current. A conflict means that somebody else was faster: what they wrote comes
back through the sources, and the decision is made again on it.
"""

import asyncio
from collections.abc import Iterable, Sequence

from fleet.bus import writes
from fleet.errors import Conflict, PeerError
from fleet.logs import get_logger
from fleet.operator.bounded import bounded
from fleet.operator.decide import Delete, Put, confirm, decide_pair, decide_swept
from fleet.operator.echo import Echoes
from fleet.operator.fresh import read_afresh
from fleet.operator.parts import Parts
from fleet.operator.status import Trouble
from fleet.wire import Bucket, DeploymentName, Pair, desired_key

_WRITES_AT_ONCE_MAX = 128
# One fresh read serves at most so many decisions.
_CHECKED_AT_ONCE_MAX = 256
_DECISIONS_PER_TURN = 512
_RETRY_S = 1.0
# The broker shows what it stored within moments, unless it has lost it; a lost connection is a new replay.
_SHOWN_S_MAX = 10.0

Decision = Put | Delete


class DesiredWriter:
    """The one that writes desired-state. `wake` it when something changed."""

    def __init__(self, parts: Parts) -> None:
        self._state = parts.state
        self._recovery = parts.recovery
        self._js = parts.js
        self._kube = parts.kube
        self._standstill = parts.standstill
        self._metrics = parts.metrics
        self._announcer = parts.announcer
        self._troubles: dict[DeploymentName, Trouble] = {}
        self._echoes: Echoes[Pair] = Echoes()
        # What was acknowledged and has not been seen since: when to complain of it.
        self._unseen: dict[Pair, asyncio.TimerHandle] = {}
        self._wake = asyncio.Event()
        self._swept: set[Pair] = set()
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = get_logger("desired")

    def wake(self) -> None:
        self._wake.set()

    def sweep(self, pairs: Iterable[Pair]) -> None:
        """The brake has released these."""
        released = {pair for pair in pairs if pair not in self._echoes}
        if released - self._swept:
            self._swept |= released
            self._wake.set()

    def heard(self, pair: Pair) -> None:
        """The bucket showed news of `pair`."""
        if self._echoes.heard(pair):
            self._shown(pair)
            self._state.dirty_pairs.add(pair)

    def restarted(self) -> None:
        """The bucket is replayed from the start."""
        self._wait_for_none()
        self._state.dirty_pairs.update(self._echoes.restarted())

    def trouble(self, name: DeploymentName) -> Trouble | None:
        """Why keys of a Deployment could not be written, as long as some are still to be."""
        if not self._state.standings.tallies[name].unsettled and not self._state.unwanted.of_deployment[name]:
            # Another operator may have done it.
            self._troubles.pop(name, None)
        return self._troubles.get(name)

    async def finish(self) -> None:
        """Begin no write any more; on return, none is under way."""
        self._stopping = True
        await self._idle.wait()

    async def run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._recovery.converged and not self._stopping:
                    self._idle.clear()
                    try:
                        await self._round()
                    finally:
                        self._idle.set()
        finally:
            self._wait_for_none()

    async def _round(self) -> None:
        """Decide and write what is dirty now."""
        dirty = [pair for pair in self._state.dirty_pairs if pair not in self._echoes]
        self._state.dirty_pairs.difference_update(dirty)
        swept, self._swept = sorted(self._swept), set()
        plain: list[Decision] = []
        checked: list[Decision] = []
        for number, pair in enumerate(dirty, 1):
            decision = decide_pair(self._state, pair)
            if isinstance(decision, Put) and not decision.check_afresh:
                plain.append(decision)
            elif decision is not None:
                checked.append(decision)
            if number % _DECISIONS_PER_TURN == 0:
                await asyncio.sleep(0)
        # What an object says by now was decided above; what was written since it was released waits for its echo.
        begun = {decision.pair for decision in checked}
        swept = [pair for pair in swept if pair not in begun and pair not in self._echoes]
        checked += [d for pair in swept if (d := decide_swept(self._state, pair)) is not None]
        if self._state.definitions_going:
            # The sweeper brings what is still to go once they are back.
            checked = [decision for decision in checked if isinstance(decision, Put)]
        failed: list[Pair] = []
        epoch = self._standstill.epoch
        written = await bounded(_WRITES_AT_ONCE_MAX, plain, lambda d: self._bring(d, epoch, failed))
        for begin in range(0, len(checked), _CHECKED_AT_ONCE_MAX):
            written += await self._bring_checked(checked[begin : begin + _CHECKED_AT_ONCE_MAX], failed)
        if written or failed:
            self._log.info("desired_written", writes=written + len(failed), failed=len(failed))
        if failed:
            # Whoever is away says so at its source; here we only keep from hammering.
            asyncio.get_running_loop().call_later(_RETRY_S, self._retry, failed)

    def _retry(self, pairs: Iterable[Pair]) -> None:
        self._state.dirty_pairs.update(pairs)
        self.wake()

    async def _bring_checked(self, decisions: Sequence[Decision], failed: list[Pair]) -> int:
        """Read the objects afresh, decide again on them, and write."""
        epoch = self._standstill.epoch
        pairs = [decision.pair for decision in decisions]
        try:
            fresh = await read_afresh(self._kube, pairs)
            if any(isinstance(decision, Delete) for decision in decisions):
                # Their objects may go because their definition goes, which nobody may have meant for the fleet.
                self._state.definitions_going = await self._kube.definitions_going()
        except PeerError as e:
            failed.extend(pairs)
            self._log.warning("fresh_read_failed", pairs=len(pairs), reason=str(e))
            return 0
        confirmed: list[Decision] = []
        for decision in decisions:
            if isinstance(decision, Delete) and self._state.definitions_going:
                continue
            again = confirm(self._state, decision, fresh)
            if again is not None:
                confirmed.append(again)
            elif decision.pair in self._state.unwanted.pairs or not self._state.desired.is_settled(decision.pair):
                # Our view is behind, or somebody wrote: what is still to be done is decided on the news.
                failed.append(decision.pair)
        return await bounded(_WRITES_AT_ONCE_MAX, confirmed, lambda d: self._bring(d, epoch, failed))

    async def _bring(self, decision: Decision, epoch: int, failed: list[Pair]) -> bool:
        """Write, if the decision still holds. True if it was stored."""
        pair = decision.pair
        self._standstill.check()
        if not self._recovery.converged or self._stopping or epoch != self._standstill.epoch:
            # What is true now is decided once everything is current again.
            self._state.dirty_pairs.add(pair)
            return False
        if not self._holds(decision):
            self._state.dirty_pairs.add(pair)
            self.wake()
            return False
        key = desired_key(pair)
        operation = "put" if isinstance(decision, Put) else "delete"
        self._echoes.began(pair)
        try:
            if isinstance(decision, Put):
                value = decision.value
                revision = await writes.put(self._js, Bucket.DESIRED_STATE, key, value, expected=decision.expected)
            else:
                revision = await writes.delete(self._js, Bucket.DESIRED_STATE, key, expected=decision.expected)
        except PeerError as e:
            self._echoes.forget(pair)
            failed.append(pair)
            outcome = "conflict" if isinstance(e, Conflict) else "failed"
            self._metrics.writes.labels(operation, outcome).inc()
            self._log.warning("desired_write_failed", key=key, operation=operation, outcome=outcome, reason=str(e))
            if not isinstance(e, Conflict):
                self._in_trouble(pair.deployment, str(e))
            return False
        self._metrics.writes.labels(operation, "stored").inc()
        if self._troubles.pop(pair.deployment, None) is not None:
            self._state.dirty_status.add(pair.deployment)
        if self._echoes.acknowledged(pair):
            self._state.dirty_pairs.add(pair)
            self.wake()
        else:
            loop = asyncio.get_running_loop()
            self._shown(pair)
            self._unseen[pair] = loop.call_later(_SHOWN_S_MAX, self._look_for, pair, revision)
        return True

    def _look_for(self, pair: Pair, revision: int) -> None:
        """A broker that acknowledged a write and does not show it is not to be waited for in silence."""
        del self._unseen[pair]
        # Whatever keeps us from converging is told there.
        if self._recovery.converged:
            reason = f"{Bucket.DESIRED_STATE}: the broker acknowledged {desired_key(pair)} and does not show it"
            self._log.warning("desired_write_unseen", key=desired_key(pair), revision=revision)
            self._in_trouble(pair.deployment, reason)

    def _shown(self, pair: Pair) -> None:
        if (timer := self._unseen.pop(pair, None)) is not None:
            timer.cancel()

    def _wait_for_none(self) -> None:
        for timer in self._unseen.values():
            timer.cancel()
        self._unseen.clear()

    def _holds(self, decision: Decision) -> bool:
        """Whether the state still asks for this write: news may have come since it was decided."""
        pair = decision.pair
        cell = self._state.desired.cells.get(pair)
        if (cell.revision if cell is not None else 0) != decision.expected:
            return False
        if isinstance(decision, Delete):
            return pair in self._state.unwanted.pairs
        return pair in self._state.standings and not self._state.desired.is_settled(pair)

    def _in_trouble(self, name: DeploymentName, reason: str) -> None:
        if name not in self._troubles:
            self._troubles[name] = Trouble("WriteFailed", reason)
            self._announcer.write_failed(name, reason)
            self._state.dirty_status.add(name)
