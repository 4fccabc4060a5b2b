"""Sees each version of the custom resources of one namespace, on a watch of its own."""

import asyncio
import contextlib
from typing import Literal, Self

import msgspec

from harness.errors import ServiceError
from harness.history import Recorder, Resource
from harness.services.kube_client import KubeAdmin

EVENTS: dict[str, Literal["added", "modified", "deleted"]] = {
    "ADDED": "added",
    "MODIFIED": "modified",
    "DELETED": "deleted",
}
KINDS = {"deployments": "Deployment", "devices": "Device"}


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str
    resource_version: str
    generation: int = 0
    deletion_timestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: dict[str, object] = {}
    status: dict[str, object] = {}


class ResourceObserver:
    """One watch per resource, each in a task of its own; `close` it."""

    def __init__(self, admin: KubeAdmin, namespace: str, recorder: Recorder) -> None:
        self._admin = admin
        self._namespace = namespace
        self._recorder = recorder
        self._tasks: list[asyncio.Task[None]] = []
        self._seen: dict[str, str] = {}
        self._news = asyncio.Condition()

    async def start(self) -> Self:
        """Raises ServiceError; nothing is left then."""
        try:
            for resource in KINDS:
                _, version = await self._admin.list_objects(resource, self._namespace)
                self._tasks.append(asyncio.create_task(self._follow(resource, version), name=f"observe {resource}"))
        except BaseException:
            await self.close()
            raise
        return self

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, ServiceError):
                await task

    async def drain(self, *, deadline_s: float = 5.0) -> None:
        """On return, the version that each object has now has been seen, and that the others are gone.

        Raises ServiceError: the watch ended, or did not show them in time.
        """
        for resource, kind in KINDS.items():
            items, version = await self._admin.list_objects(resource, self._namespace)
            wanted: dict[str, str] = {}
            for item in items:
                metadata = msgspec.convert(item, _Object).metadata
                wanted[f"{kind}/{metadata.name}"] = metadata.resource_version
            await self._wait_seen(kind, wanted, int(version), deadline_s)

    async def _wait_seen(self, kind: str, wanted: dict[str, str], listed_at: int, deadline_s: float) -> None:
        def missing() -> list[str]:
            late = [name for name, version in wanted.items() if int(self._seen.get(name, "0")) < int(version)]
            # What is not in the list was deleted before it, unless it is younger than the list.
            ghosts = [
                name
                for name, version in self._seen.items()
                if name.startswith(f"{kind}/") and name not in wanted and int(version) <= listed_at
            ]
            return late + ghosts

        try:
            async with asyncio.timeout(deadline_s), self._news:
                await self._news.wait_for(lambda: not missing() or any(task.done() for task in self._tasks))
        except TimeoutError as e:
            raise ServiceError(f"the watch did not show {missing()[:3]} within {deadline_s:g} s") from e
        for task in self._tasks:
            if task.done():
                task.result()
                raise ServiceError(f"{task.get_name()}: the watch ended: the witness saw no more")

    async def _follow(self, resource: str, version: str) -> None:
        try:
            await self._record_all(resource, version)
        finally:
            async with self._news:
                # Whoever waits for news is to learn that there will be none.
                self._news.notify_all()

    async def _record_all(self, resource: str, version: str) -> None:
        async for event, item in self._admin.watch(resource, self._namespace, version):
            if event not in EVENTS:
                continue
            found = msgspec.convert(item, _Object)
            labels = found.spec.get("labels")
            self._recorder.add(
                Resource(
                    at_s=self._recorder.now_s,
                    kind=KINDS[resource],
                    name=found.metadata.name,
                    event=EVENTS[event],
                    uid=found.metadata.uid,
                    resource_version=found.metadata.resource_version,
                    generation=found.metadata.generation,
                    deleting=found.metadata.deletion_timestamp is not None,
                    labels=msgspec.convert(labels or {}, dict[str, str]),
                    spec=found.spec,
                    status=found.status,
                )
            )
            async with self._news:
                name = f"{KINDS[resource]}/{found.metadata.name}"
                if EVENTS[event] == "deleted":
                    self._seen.pop(name, None)
                else:
                    self._seen[name] = found.metadata.resource_version
                self._news.notify_all()
