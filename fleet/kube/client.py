"""The verbs that the operator needs of the Kubernetes API, in one namespace.

What goes over the wire are raw bytes, which msgspec decodes many times faster than the official client's models.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec

from fleet.crds import GROUP, VERSION
from fleet.errors import NotFound, PeerAway, PeerRefused
from fleet.kube import pages
from fleet.kube.kubeconfig import open_transport
from fleet.kube.transport import AlreadyExists, Expired, Transport
from fleet.kube.unreadable import UNREADABLE

Verb = Literal["get", "list", "watch", "create", "patch"]
Body = Mapping[str, object] | bytes

_MERGE_PATCH = "application/merge-patch+json"
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_LISTS_MAX = 4
RESOURCES = ("deployments", "devices")


class _ReviewStatus(msgspec.Struct):
    allowed: bool


class _Review(msgspec.Struct):
    status: _ReviewStatus


class _Version(msgspec.Struct, rename="camel"):
    resource_version: str


class _Stored(msgspec.Struct):
    metadata: _Version


class _Uid(msgspec.Struct):
    uid: str


class _Deletion(msgspec.Struct, rename="camel"):
    deletion_timestamp: str | None = None


class _Definition(msgspec.Struct):
    metadata: _Deletion


class _Namespace(msgspec.Struct):
    metadata: _Uid


class _Items(msgspec.Struct):
    items: list[msgspec.Raw]


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


S = TypeVar("S", _Review, _Stored, _Namespace, _Definition, _Items, _ConfigMap)


@dataclass(frozen=True, slots=True)
class Access:
    """One right the operator needs: in its namespace, or cluster-wide. `group` "" is the core group."""

    verb: Verb
    resource: str
    subresource: str = ""
    group: str = GROUP
    namespaced: bool = True
    name: str = ""

    def __str__(self) -> str:
        subresource = f"/{self.subresource}" if self.subresource else ""
        return " ".join(part for part in (self.verb, self.resource + subresource, self.name) if part)


_GET_IDENTITY = Access("get", "namespaces", group="", namespaced=False, name="kube-system")


class KubeClient:
    """One API server, one namespace. Errors: PeerAway, PeerRefused (NotFound for a 404), Conflict."""

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport = transport
        self.namespace = namespace

    @classmethod
    async def open(cls, kubeconfig: Path | None, namespace: str, *, user_agent: str) -> "KubeClient":
        """From a kubeconfig file, or from the pod's service account if None. Raises SettingsError."""
        return cls(await open_transport(kubeconfig, user_agent=user_agent), namespace)

    @property
    def server(self) -> str:
        return self._transport.server

    async def close(self) -> None:
        await self._transport.close()

    async def get(self, resource: str, name: str) -> bytes | None:
        """Read one object afresh (quorum: no resourceVersion is asked for); None if there is none."""
        try:
            return await self._transport.call("GET", self._path(resource, name))
        except NotFound:
            return None

    async def list_page(self, resource: str, *, limit: int, continue_token: str) -> bytes:
        """Return one page of a consistent list, as the server wrote it. The first one is a quorum read."""
        params = {"limit": str(limit)}
        if continue_token:
            params["continue"] = continue_token
        return await self._transport.call("GET", self._path(resource), params=params)

    def list_whole(self, resource: str) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a consistent list of all objects; yields its body as it comes in."""
        return self._transport.chunks(self._path(resource))

    async def list_items(self, resource: str, *, limit: int = pages.LIMIT) -> AsyncIterator[list[msgspec.Raw]]:
        """All objects of one resourceVersion, read afresh, in lists of up to `limit`.

        Nothing is yielded before the last page has come: a list that expires half-way (410) starts again, and what it
        has shown until then is of another version.
        """
        for turn in range(1, _LISTS_MAX + 1):
            try:
                read = [body async for _, body in pages.follow(self, resource, limit)]
            except Expired:
                if turn == _LISTS_MAX:
                    raise
                continue
            for body in read:
                yield self._decoded(body, _Items, f"list of {resource}").items
            return

    def watch(
        self, resource: str, *, resource_version: str, timeout_s: int, silence_s_max: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a watch; yields the lines of its events once the server has accepted it."""
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_s),
        }
        return self._transport.lines(self._path(resource), params=params, silence_s_max=silence_s_max)

    async def create(self, resource: str, body: Body) -> bool:
        """Create an object; False if the name is taken."""
        return await self._create(self._path(resource), body)

    async def patch(self, resource: str, name: str, body: Body) -> str:
        """Merge-patch an object; the resourceVersion that came of it. Raises Conflict if it moved on, NotFound."""
        return await self._patch(self._path(resource, name), body)

    async def patch_status(self, resource: str, name: str, patch: Body) -> str:
        """Merge-patch the status subresource; else as `patch`."""
        return await self._patch(f"{self._path(resource, name)}/status", patch)

    async def create_event(self, body: Body) -> bool:
        """Create a core/v1 Event; False if there is one of its name."""
        return await self._create(self._core("events"), body)

    async def config_map(self, name: str) -> Mapping[str, str] | None:
        """Read a ConfigMap's texts afresh; None if there is none."""
        path = self._core("configmaps", name)
        try:
            body = await self._transport.call("GET", path)
        except NotFound:
            return None
        return self._decoded(body, _ConfigMap, f"GET {path}").data or {}

    async def write_config_map(self, name: str, data: Mapping[str, str | None]) -> None:
        """Set these texts in a ConfigMap, which is made if missing. None removes a text; others stay as they are."""
        patch: Body = {"data": dict(data)}
        path = self._core("configmaps", name)
        try:
            await self._patch(path, patch)
        except NotFound:
            texts = {key: text for key, text in data.items() if text is not None}
            manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": texts}
            if not await self._create(self._core("configmaps"), manifest):
                await self._patch(path, patch)

    async def cluster_uid(self) -> str:
        """What tells this cluster from every other: the uid of its namespace kube-system."""
        path = "/api/v1/namespaces/kube-system"
        try:
            body = await self._transport.call("GET", path)
        except NotFound:
            raise
        except PeerRefused as e:
            raise PeerRefused(f"{e}; the operator needs the right to {_GET_IDENTITY}, cluster-wide") from e
        return self._decoded(body, _Namespace, f"GET {path}").metadata.uid

    async def definitions_going(self) -> tuple[str, ...]:
        """Those of our resources whose definition is being deleted or is gone: whatever of them goes, goes with it."""
        going = []
        for resource in RESOURCES:
            path = f"{_DEFINITIONS}/{resource}.{GROUP}"
            try:
                body = await self._transport.call("GET", path)
            except NotFound:
                going.append(resource)
                continue
            if self._decoded(body, _Definition, f"GET {path}").metadata.deletion_timestamp is not None:
                going.append(resource)
        return tuple(going)

    async def apply(self, path: str, manifest: Mapping[str, object], *, field_manager: str) -> None:
        """Server-side apply of a whole object at `path`."""
        params = {"fieldManager": field_manager, "force": "true"}
        content_type = "application/apply-patch+yaml"
        await self._transport.call("PATCH", path, body=manifest, params=params, content_type=content_type)

    async def allowed(self, access: Access) -> bool:
        """Ask the API server whether this client may do `access`."""
        attributes = {
            "verb": access.verb,
            "group": access.group,
            "resource": access.resource,
            "subresource": access.subresource,
        }
        if access.namespaced:
            attributes["namespace"] = self.namespace
        if access.name:
            attributes["name"] = access.name
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        body = await self._transport.call("POST", path, body=review)
        return self._decoded(body, _Review, f"POST {path}").status.allowed

    async def _create(self, path: str, body: Body) -> bool:
        try:
            await self._transport.call("POST", path, body=body)
        except AlreadyExists:
            return False
        return True

    async def _patch(self, path: str, body: Body) -> str:
        answer = await self._transport.call("PATCH", path, body=body, content_type=_MERGE_PATCH)
        return self._decoded(answer, _Stored, f"PATCH {path}").metadata.resource_version

    def _decoded(self, body: bytes, kind: type[S], what: str) -> S:
        try:
            return msgspec.json.decode(body, type=kind)
        except UNREADABLE as e:
            raise PeerAway(f"{what}: {self.server}: the server sent garbage: {e}") from e

    def _path(self, resource: str, name: str = "") -> str:
        return self._named(f"/apis/{GROUP}/{VERSION}", resource, name)

    def _core(self, resource: str, name: str = "") -> str:
        return self._named("/api/v1", resource, name)

    def _named(self, group: str, resource: str, name: str) -> str:
        path = f"{group}/namespaces/{quote(self.namespace, safe='')}/{resource}"
        return f"{path}/{quote(name, safe='')}" if name else path
