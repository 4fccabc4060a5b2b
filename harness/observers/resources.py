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
        for resource in KINDS:
            _, version = await self._admin.list_objects(resource, self._namespace)
            self._tasks.append(asyncio.create_task(self._follow(resource, version), name=f"observe {resource}"))
        return self

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError, ServiceError):
                await task

    async def drain(self, *, deadline_s: float = 5.0) -> None:
        """On return, the version that each object has now has been seen."""
        for resource, kind in KINDS.items():
            items, _ = await self._admin.list_objects(resource, self._namespace)
            wanted: dict[str, str] = {}
            for item in items:
                metadata = msgspec.convert(item, _Object).metadata
                wanted[f"{kind}/{metadata.name}"] = metadata.resource_version
            await self._wait_seen(wanted, deadline_s)

    async def _wait_seen(self, wanted: dict[str, str], deadline_s: float) -> None:
        def missing() -> list[str]:
            return [name for name, version in wanted.items() if int(self._seen.get(name, "0")) < int(version)]

        try:
            async with asyncio.timeout(deadline_s), self._news:
                await self._news.wait_for(lambda: not missing() or any(task.done() for task in self._tasks))
        except TimeoutError as e:
            raise ServiceError(f"the watch did not show {missing()[:3]} within {deadline_s:g} s") from e
        for task in self._tasks:
            if task.done():
                task.result()

    async def _follow(self, resource: str, version: str) -> None:
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
                self._seen[f"{KINDS[resource]}/{found.metadata.name}"] = found.metadata.resource_version
                self._news.notify_all()
