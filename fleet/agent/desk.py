"""Where a word about a deployment becomes an order: judged, confirmed if need be, kept on disk, then acted upon.

    inbox -> judge -> [leader read -> judge] -> disk -> workers
    workers -> gone -> take back the report -> forget the tombstone

Disk comes before action, so that an agent that is killed in between knows after its start what it was about to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from fleet.agent.desired import (
    Confirm,
    Held,
    Ignore,
    Refuse,
    Standing,
    Take,
    TearDown,
    Tombstone,
    Word,
    judge,
    judge_confirmed,
)
from fleet.agent.inbox import Heard
from fleet.agent.store import Kept, Store
from fleet.errors import ArtifactError
from fleet.logs import get_logger
from fleet.wire import DeploymentName, DesiredState, decode_desired_state


class Orders(Protocol):
    """Who carries out what was taken."""

    def set(self, name: DeploymentName, desired: DesiredState | None) -> None: ...
    def refuse(self, name: DeploymentName, reason: str) -> None: ...


class Desk:
    """One word at a time, in order. `confirm` reads by the leader, `look_again` reads all of it soon once more."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        *,
        confirm: Callable[[DeploymentName], Awaitable[Word | None]],
        look_again: Callable[[], None],
    ) -> None:
        self._store = store
        self._orders = orders
        self._confirm = confirm
        self._look_again = look_again
        self._standings: dict[DeploymentName, Standing] = {}
        # A word that is refused comes again with every read, and is logged once.
        self._refusals: dict[DeploymentName, str] = {}
        self._disk = asyncio.Lock()
        self._log = get_logger("desk")

    def resume(self, kept: Mapping[DeploymentName, Kept]) -> None:
        """Go on with what the disk holds, before anybody else says a word."""
        for name, each in kept.items():
            if each.deleted:
                self._standings[name] = Tombstone()
                self._orders.set(name, None)
            elif each.desired is not None:
                held = Held(each.desired, decode_desired_state(each.desired))
                self._standings[name] = held
                self._orders.set(name, held.desired)

    async def take(self, heard: Heard) -> None:
        name = heard.deployment
        verdict: Take | Refuse | Confirm | TearDown | Ignore = judge(self._standings.get(name), heard.word)
        if isinstance(verdict, Confirm):
            word = await self._confirm(name)
            if word is None:
                return
            verdict = judge_confirmed(self._standings.get(name), word)
        async with self._disk:
            try:
                await self._do(name, verdict)
            except ArtifactError as e:
                # What runs goes on; the next read brings the same word again.
                self._log.error("desired_not_kept", deployment=name, reason=str(e))
                self._look_again()

    async def forget(self, name: DeploymentName) -> None:
        """Nothing of it is left on this device or in the broker; unless it is wanted again by now.

        Its marker will be read again and again: in memory the tombstone stays, so that it says nothing new.
        """
        async with self._disk:
            if not isinstance(self._standings.get(name), Tombstone):
                return
            try:
                await asyncio.to_thread(self._store.forget, name)
            except ArtifactError as e:
                # The tombstone stays: the next start does it all again, and finds nothing to do.
                self._log.error("deployment_not_forgotten", deployment=name, reason=str(e))
                return
            self._refusals.pop(name, None)
            self._log.info("deployment_forgotten", deployment=name)

    async def _do(self, name: DeploymentName, verdict: Take | Refuse | Confirm | TearDown | Ignore) -> None:
        """Raises ArtifactError before anything was ordered."""
        standing = self._standings.get(name)
        match verdict:
            case Take(held):
                if not isinstance(standing, Held) or standing.data != held.data:
                    await asyncio.to_thread(self._store.keep_desired, name, held.data)
                self._standings[name] = held
                self._refusals.pop(name, None)
                owner = held.desired.owner
                self._log.info("desired_taken", deployment=name, uid=owner.uid, generation=owner.generation)
                self._orders.set(name, held.desired)
            case TearDown():
                await asyncio.to_thread(self._store.keep_deleted, name)
                self._standings[name] = Tombstone()
                self._log.info("deployment_deleted", deployment=name)
                self._orders.set(name, None)
            case Refuse(reason):
                if self._refusals.get(name) != reason:
                    self._refusals[name] = reason
                    self._log.warning("desired_refused", deployment=name, reason=reason)
                if isinstance(standing, Held):
                    self._standings[name] = replace(standing, refused=True)
                    self._orders.refuse(name, reason)
            case Confirm() | Ignore():
                pass
