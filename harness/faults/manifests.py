"""What administrators have in their files: the objects of a namespace as they were, to be applied again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Self, cast

from fleet.crds import API_VERSION
from harness.services.kube_client import KubeAdmin, KubeApiError
from harness.services.kube_session import CALLS_AT_ONCE
from harness.wait import wait_for

KINDS = {"devices": "Device", "deployments": "Deployment"}
_APPLIED_WITHIN_S = 20.0
_EXISTS = 409
# Its definition is not served, or is going, or the server is about to serve it.
_NOT_YET = frozenset({404, 405, 429, 503})

Name = tuple[str, str]
"""(resource, name)"""
Version = tuple[str, int]
"""(uid, generation): what an operator never changes."""


async def versions(admin: KubeAdmin, namespace: str) -> dict[Name, Version]:
    """Of every Device and Deployment that the API server lists. Raises ServiceError."""
    found: dict[Name, Version] = {}
    for resource in KINDS:
        for item in (await admin.list_objects(resource, namespace))[0]:
            metadata = cast("Mapping[str, object]", item["metadata"])
            found[resource, str(metadata["name"])] = str(metadata["uid"]), cast("int", metadata["generation"])
    return found


@dataclass(frozen=True, slots=True)
class Manifests:
    """Specs by name. Nothing that an operator adds to an object is in them."""

    admin: KubeAdmin
    namespace: str
    specs: Mapping[Name, object]

    @classmethod
    async def of(cls, admin: KubeAdmin, namespace: str) -> Self:
        """As they are now. Raises ServiceError."""
        return cls(admin, namespace, await _specs(admin, namespace))

    async def apply(self, between: Callable[[], Awaitable[None]] | None = None) -> None:
        """Make, or bring to its spec, each of them, and delete every other until it is gone. Raises ServiceError.

        All at once; one after the other if `between` is to be awaited after each.
        """
        for other in (await _specs(self.admin, self.namespace)).keys() - self.specs.keys():
            await self._delete(*other)
        if between is not None:
            for name in self.specs:
                await self._bring(name)
                await between()
            return
        slots = asyncio.Semaphore(CALLS_AT_ONCE)

        async def bring(name: Name) -> None:
            async with slots:
                await self._bring(name)

        try:
            async with asyncio.TaskGroup() as group:
                for name in self.specs:
                    group.create_task(bring(name))
        except ExceptionGroup as e:
            raise e.exceptions[0] from e

    async def differing(self) -> list[str]:
        """Those that are not there, say something else, or should not be there. Raises ServiceError."""
        there = await _specs(self.admin, self.namespace)
        names = self.specs.keys() | there.keys()
        return sorted("/".join(name) for name in names if self.specs.get(name) != there.get(name))

    async def _delete(self, resource: str, name: str) -> None:
        await self.admin.delete(resource, self.namespace, name)

        async def gone() -> bool | None:
            return True if await self.admin.find(resource, self.namespace, name) is None else None

        await wait_for(f"{resource}/{name} to be gone", gone, deadline_s=_APPLIED_WITHIN_S)

    async def _apply(self, resource: str, name: str, body: Mapping[str, object]) -> bool | None:
        """None while an object of that name is going."""
        try:
            await self.admin.create(resource, self.namespace, body)
        except KubeApiError as e:
            if e.status != _EXISTS:
                raise
            found = await self.admin.get(resource, self.namespace, name)
            if cast("Mapping[str, object]", found["metadata"]).get("deletionTimestamp"):
                return None
            await self.admin.patch(resource, self.namespace, name, {"spec": body["spec"]})
        return True

    async def _bring(self, name: Name) -> None:
        resource, object_name = name
        spec = self.specs[name]
        body = {
            "apiVersion": API_VERSION,
            "kind": KINDS[resource],
            "metadata": {"name": object_name},
            "spec": spec,
        }

        async def applied() -> bool | None:
            try:
                return await self._apply(resource, object_name, body)
            except KubeApiError as e:
                if e.status in _NOT_YET:
                    return None
                raise

        await wait_for(f"{resource}/{object_name} to be applied", applied, deadline_s=_APPLIED_WITHIN_S)


async def _specs(admin: KubeAdmin, namespace: str) -> dict[Name, object]:
    return {
        (resource, str(cast("Mapping[str, object]", item["metadata"])["name"])): item.get("spec")
        for resource in KINDS
        for item in (await admin.list_objects(resource, namespace))[0]
    }
