"""Raw JSON requests to the Kubernetes API over one session: our custom resources, their watches, one map of errors."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping
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

CALL_WITHIN_S = 30.0
CALLS_AT_ONCE = 16

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

NOT_FOUND = 404


class KubeSession:
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
        slots = asyncio.Semaphore(CALLS_AT_ONCE)

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
            if e.status == NOT_FOUND:
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
