"""The harness's own client of the Kubernetes API: raw JSON, one place that maps errors.

It sets the stage (namespaces, CRDs, rights, objects) and watches. The product brings its own client.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Self

import aiohttp
import msgspec

from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube_answers import (
    KubeApiError,
    KubeUnreachable,
    items_of,
    lines_of,
    mapping,
    raise_for_status,
    resource_path,
)
from harness.wait import wait_for

__all__ = ["KubeAdmin", "KubeApiError", "KubeUnreachable", "resource_path"]

OUR_RESOURCES = ("deployments", "devices")
CALL_WITHIN_S = 30.0
SERVED_WITHIN_S = 20.0
CREATES_AT_ONCE = 16

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

_CONFLICT = 409
_NOT_FOUND = 404
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


class KubeAdmin:
    """An open client; `close` it. Safe for concurrent calls."""

    def __init__(self, url: str, ca_pem: bytes, token: str) -> None:
        self.url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}", "User-Agent": "fleetproof-harness"},
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=ca_pem.decode()), limit=64),
            timeout=aiohttp.ClientTimeout(total=CALL_WITHIN_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Idempotent."""
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> object:
        """The decoded answer.

        Raises:
            KubeApiError: the server answered 4xx or 5xx.
            KubeUnreachable: it did not answer.
        """
        what = f"{method} {path}"
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": content_type}
        try:
            async with self._session.request(
                method, self.url + path, params=params, data=data, headers=headers
            ) as answer:
                content = await answer.read()
                raise_for_status(what, answer.status, content)
        except (aiohttp.ClientError, TimeoutError) as e:
            raise KubeUnreachable(f"{what}: no answer from {self.url}: {str(e) or type(e).__name__}") from e
        try:
            return msgspec.json.decode(content)
        except msgspec.DecodeError as e:
            raise ServiceError(f"{what}: the answer is not JSON: {content[:200]!r}") from e

    # Our custom resources

    async def create(self, resource: str, namespace: str, body: Mapping[str, object]) -> Json:
        return mapping(await self.request("POST", resource_path(resource, namespace), body=body))

    async def create_many(self, resource: str, namespace: str, bodies: Iterable[Mapping[str, object]]) -> list[Json]:
        """Concurrent, bounded; the results are in the order of `bodies`. The first error ends it."""
        slots = asyncio.Semaphore(CREATES_AT_ONCE)

        async def one(body: Mapping[str, object]) -> Json:
            async with slots:
                return await self.create(resource, namespace, body)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(body)) for body in bodies]
        except ExceptionGroup as e:
            # The others are the same story or were cancelled by the first.
            raise e.exceptions[0] from e
        return [task.result() for task in tasks]

    async def get(self, resource: str, namespace: str, name: str) -> Json:
        return mapping(await self.request("GET", resource_path(resource, namespace, name)))

    async def find(self, resource: str, namespace: str, name: str) -> Json | None:
        """None if there is no such object."""
        try:
            return await self.get(resource, namespace, name)
        except KubeApiError as e:
            if e.status == _NOT_FOUND:
                return None
            raise

    async def list_objects(self, resource: str, namespace: str) -> tuple[list[Json], str]:
        """The items, and the resourceVersion from which a watch continues."""
        answer = mapping(await self.request("GET", resource_path(resource, namespace)))
        return items_of(answer), str(mapping(answer["metadata"])["resourceVersion"])

    async def patch(
        self,
        resource: str,
        namespace: str,
        name: str,
        patch: Mapping[str, object],
        *,
        subresource: str | None = None,
    ) -> Json:
        """A JSON merge patch."""
        path = resource_path(resource, namespace, name, subresource)
        return mapping(await self.request("PATCH", path, body=patch, content_type=MERGE_PATCH))

    async def delete(self, resource: str, namespace: str, name: str) -> None:
        """An object with finalizers stays until they are gone."""
        await self.request("DELETE", resource_path(resource, namespace, name))

    async def watch(
        self, resource: str, namespace: str, resource_version: str | None = None
    ) -> AsyncGenerator[tuple[str, Json], None]:
        """(ADDED | MODIFIED | DELETED, object) for ever; without a version it begins with every object there is.

        Raises:
            KubeApiError: status 410 when the version is too old.
            KubeUnreachable: the stream ended.
        """
        params = {"watch": "true", **({"resourceVersion": resource_version} if resource_version is not None else {})}
        what = f"WATCH {resource_path(resource, namespace)}"
        try:
            async with self._session.get(
                self.url + resource_path(resource, namespace),
                params=params,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CALL_WITHIN_S),
            ) as answer:
                if not answer.ok:
                    raise_for_status(what, answer.status, await answer.read())
                async with aclosing(lines_of(answer.content)) as lines:
                    async for line in lines:
                        event = mapping(msgspec.json.decode(line))
                        item = mapping(event["object"])
                        if event["type"] == "ERROR":
                            code = item.get("code")
                            raise KubeApiError(
                                what,
                                code if isinstance(code, int) else 0,
                                str(item.get("reason")),
                                str(item.get("message")),
                            )
                        yield str(event["type"]), item
        except (aiohttp.ClientError, TimeoutError) as e:
            raise KubeUnreachable(f"{what}: the stream broke: {str(e) or type(e).__name__}") from e
        raise KubeUnreachable(f"{what}: the server ended the stream")

    # The stage

    async def create_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.request("POST", "/api/v1/namespaces", body=body)

    async def delete_namespace(self, name: str) -> None:
        """Delete it and what the harness put there. No controller runs here, so its work is done by hand."""
        await self.request("DELETE", f"/api/v1/namespaces/{name}")
        for resource in OUR_RESOURCES:
            try:
                items, _ = await self.list_objects(resource, name)
            except KubeApiError as e:
                if e.status == _NOT_FOUND:
                    continue
                raise
            for item in items:
                metadata = mapping(item["metadata"])
                if metadata.get("finalizers"):
                    await self.patch(resource, name, str(metadata["name"]), {"metadata": {"finalizers": None}})
            await self.request("DELETE", resource_path(resource, name))
        for kind in ("rolebindings", "roles"):
            await self.request("DELETE", f"{_RBAC}/namespaces/{name}/{kind}")
        for kind in ("clusterrolebindings", "clusterroles"):
            await self.request("DELETE", f"{_RBAC}/{kind}", params={"labelSelector": f"{_GRANTED_FOR}={name}"})
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {"finalizers": []}}
        await self.request("PUT", f"/api/v1/namespaces/{name}/finalize", body=body)

    async def apply_crds(self, crds: Sequence[Mapping[str, object]]) -> None:
        """Create or replace the spec of each, then wait until all are established and served.

        The server itself delays a create by 2 s while its CRD is younger than that.
        """
        for crd in crds:
            try:
                await self.request("POST", _CRDS, body=crd)
            except KubeApiError as e:
                if e.status != _CONFLICT:
                    raise
                name = str(mapping(crd["metadata"])["name"])
                patch = {"spec": crd["spec"]}
                await self.request("PATCH", f"{_CRDS}/{name}", body=patch, content_type=MERGE_PATCH)
        for crd in crds:
            await self._wait_served(crd)

    async def grant(
        self,
        namespace: str,
        rules: Sequence[Mapping[str, object]],
        *,
        user: str = "operator",
        cluster_rules: Sequence[Mapping[str, object]] = (),
    ) -> None:
        """Give a user exactly these RBAC rules in a namespace, and wait until the server honours them.

        `cluster_rules` are for what has no namespace; they too are gone with `delete_namespace`.
        """
        for scope, granted, at, found_in in (
            ("", rules, f"{_RBAC}/namespaces/{namespace}", namespace),
            ("Cluster", cluster_rules, _RBAC, ""),
        ):
            if not granted:
                continue
            name = user if found_in else f"{namespace}-{user}"
            meta = {"name": name, "labels": {_GRANTED_FOR: namespace}}
            role = {"metadata": meta, "rules": granted}
            binding = {
                "metadata": meta,
                "roleRef": {"apiGroup": _RBAC_GROUP, "kind": f"{scope}Role", "name": name},
                "subjects": [{"apiGroup": _RBAC_GROUP, "kind": "User", "name": user}],
            }
            plural = f"{scope.lower()}role"
            await self.request("POST", f"{at}/{plural}s", body=role)
            await self.request("POST", f"{at}/{plural}bindings", body=binding)
            await self._wait_allowed(user, found_in, granted[0])

    async def _wait_served(self, crd: Mapping[str, object]) -> None:
        spec = mapping(crd["spec"])
        names = mapping(spec["names"])
        versions = spec["versions"]
        version = mapping(versions[0])["name"] if isinstance(versions, list) else ""
        crd_name = str(mapping(crd["metadata"])["name"])

        async def established() -> bool | None:
            status = mapping(mapping(await self.request("GET", f"{_CRDS}/{crd_name}")).get("status") or {})
            conditions = status.get("conditions")
            states = {c["type"]: c["status"] for c in conditions} if isinstance(conditions, list) else {}
            if states.get("Established") != "True":
                return None
            path = f"/apis/{spec['group']}/{version}/{names['plural']}"
            await self.request("GET", path, params={"limit": "1"})
            return True

        await wait_for(f"{crd_name} to be served", established, deadline_s=SERVED_WITHIN_S, expect=(KubeApiError,))

    async def _wait_allowed(self, user: str, namespace: str, rule: Mapping[str, object]) -> None:
        def first(field: str) -> str | None:
            values = rule.get(field)
            return str(values[0]) if isinstance(values, (list, tuple)) and values else None

        resource, _, subresource = (first("resources") or "").partition("/")
        attributes = {
            "namespace": namespace,
            "verb": first("verbs"),
            "group": first("apiGroups"),
            "resource": resource,
            "subresource": subresource,
            "name": first("resourceNames"),
        }
        review = {"spec": {"user": user, "resourceAttributes": {k: v for k, v in attributes.items() if v}}}

        async def allowed() -> bool | None:
            status = mapping(mapping(await self.request("POST", _REVIEWS, body=review))["status"])
            return True if status["allowed"] is True else None

        await wait_for(f"the rights of {user} in {namespace or 'the cluster'}", allowed, deadline_s=SERVED_WITHIN_S)


_GRANTED_FOR = "fleetproof.dev/granted-for"
_RBAC_GROUP = "rbac.authorization.k8s.io"
