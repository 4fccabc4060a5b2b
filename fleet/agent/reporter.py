"""Reports on their way out: first to the disk, then to the broker. The latest of each deployment counts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from fleet.agent.store import Store
from fleet.errors import ArtifactError
from fleet.logs import get_logger
from fleet.wire import DeploymentName, DeviceState


class Publisher(Protocol):
    def put(self, deployment: DeploymentName, state: DeviceState) -> None: ...
    def delete(self, deployment: DeploymentName) -> None: ...


class Reporter:
    """`forgotten` is called once nothing of a deployment is left and its report was taken back."""

    def __init__(
        self, store: Store, publisher: Publisher, forgotten: Callable[[DeploymentName], Awaitable[None]]
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._forgotten = forgotten
        self._waiting: dict[DeploymentName, DeviceState] = {}
        self._done_with: set[DeploymentName] = set()
        self._some = asyncio.Event()
        self._log = get_logger("reporter")

    def reported(self, name: DeploymentName, state: DeviceState) -> None:
        self._waiting[name] = state
        self._some.set()

    def gone(self, name: DeploymentName) -> None:
        """Nothing runs of it any more."""
        self._waiting.pop(name, None)
        self._publisher.delete(name)

    def taken_back(self, name: DeploymentName) -> None:
        """The broker holds no report of it any more."""
        self._done_with.add(name)
        self._some.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                await self._report(next(iter(self._waiting)))
            while self._done_with:
                await self._forgotten(self._done_with.pop())

    async def _report(self, name: DeploymentName) -> None:
        state = self._waiting.pop(name)
        try:
            await asyncio.to_thread(self._store.keep_report, name, state.encode())
        except ArtifactError as e:
            # The disk only keeps event time from going back while the broker is away: the report goes out all the same.
            self._log.error("report_not_kept", deployment=name, reason=str(e))
        if name not in self._waiting:
            self._publisher.put(name, state)
