"""Holds the Deployments of the first list back until all else was replayed: then each brings all its pairs at once.

A pair is counted by its Device, its report, its key and its device's beats, which a replay brings in any order. With
the Deployments there first, each of these moves the pair from one count to the next; with them last, a pair is counted
once, by all that is known of it. After the first replay news are folded as they come.
"""

import asyncio
from collections.abc import Sequence

from fleet.kube.objects import Deployment
from fleet.operator.books import DEPLOYMENTS, SOURCES, Books
from fleet.operator.sources import ResourceSource
from fleet.operator.state import FleetState


class DeploymentsLast:
    """An informer's sink before the one that folds."""

    def __init__(self, source: ResourceSource[Deployment], books: Books, state: FleetState) -> None:
        self._source = source
        self._books = books
        self._state = state
        self._held: dict[str, Deployment] | None = {}
        self._listed = False
        self._ready = asyncio.Event()
        state.judge_later()
        books.after_replay = self._look

    async def run(self) -> None:
        """Fold what is held as soon as that may be; then be there for ever, like every loop."""
        await self._ready.wait()
        while self._held:
            _, deployment = self._held.popitem()
            self._source.fold(deployment)
            await asyncio.sleep(0)
        self._held = None
        self._state.judge_now()
        if self._listed:
            self._source.replayed()
        await asyncio.Event().wait()

    def replay_started(self) -> None:
        self._listed = False
        self._source.replay_started()

    def expecting(self, count: int) -> None:
        self._source.expecting(count)

    def listed(self, items: Sequence[Deployment]) -> None:
        for item in items:
            self.upsert(item)

    def upsert(self, item: Deployment) -> None:
        if self._held is None:
            self._source.upsert(item)
        else:
            self._books.recovery.saw(DEPLOYMENTS)
            self._held[item.name] = item

    def removed(self, name: str) -> None:
        if self._held is not None:
            self._held.pop(name, None)
        self._source.removed(name)

    def malformed(self, name: str, reason: str) -> None:
        """What was known of it stays: it is folded first."""
        known = self._held.pop(name, None) if self._held is not None else None
        if known is not None:
            self._source.fold(known)
        self._source.malformed(name, reason)

    def replayed(self) -> None:
        self._listed = True
        if self._held is None:
            self._source.replayed()
        else:
            self._look()

    def lost(self, reason: str) -> None:
        self._listed = False
        self._source.lost(reason)

    def _look(self) -> None:
        """Some source has been replayed."""
        sources = self._books.recovery.sources
        if self._listed and all(sources[name].current for name in SOURCES if name != DEPLOYMENTS):
            self._ready.set()
