"""Requests to the API server.

Kubeconfig, exec plugins, in-cluster credentials, token refresh and TLS come from the official client; what goes over
the wire are raw bytes, which msgspec decodes many times faster than that client's models.
"""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.kube_config import _cleanup_temp_files

from fleet.crds import GROUP, VERSION
from fleet.errors import Conflict, PeerAway, PeerError, PeerRefused, SettingsError

_CONNECT_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 30.0
_BODY_BYTES_MAX = 512 * 1024 * 1024
# One event of a watch; etcd holds objects of up to a few MiB.
_LINE_BYTES_MAX = 16 * 1024 * 1024

Verb = Literal["get", "list", "watch", "patch"]


class _Status(msgspec.Struct):
    message: str = ""


class _ReviewStatus(msgspec.Struct):
    allowed: bool


class _Review(msgspec.Struct):
    status: _ReviewStatus


class _StoredMetadata(msgspec.Struct, rename="camel"):
    resource_version: str


class _Stored(msgspec.Struct):
    metadata: _StoredMetadata


S = TypeVar("S", _Review, _Stored)


@dataclass(frozen=True, slots=True)
class Access:
    """One right the operator needs in its namespace."""

    verb: Verb
    resource: str
    subresource: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{'/' + self.subresource if self.subresource else ''}"


class KubeClient:
    """One API server, one namespace. Errors: PeerAway, PeerRefused, Conflict."""

    def __init__(self, configuration: Configuration, namespace: str, user_agent: str) -> None:
        self._configuration = configuration
        self.namespace = namespace
        self.server = str(configuration.host)
        # The library's TLS settings (CA, client certificate, server name), on a session of our own.
        context: ssl.SSLContext = RESTClientObject(configuration).ssl_context
        self._server_hostname: str | None = configuration.tls_server_name or None
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=64),
            headers={"User-Agent": user_agent, "Accept": "application/json"},
            read_bufsize=1 << 20,
            timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S, sock_connect=_CONNECT_TIMEOUT_S),
            proxy=configuration.proxy,
        )

    @classmethod
    async def open(cls, kubeconfig: Path | None, namespace: str, *, user_agent: str) -> "KubeClient":
        """From a kubeconfig file, or from the pod's service account if None. Raises SettingsError."""
        configuration = Configuration()
        try:
            if kubeconfig is None:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call] # untyped library
            else:
                await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call] # untyped library
        except ConfigException as e:
            where = f"kubeconfig {kubeconfig}" if kubeconfig else "no kubeconfig and not in a cluster"
            raise SettingsError(f"{where}: {e}; set KUBECONFIG to a readable kubeconfig file") from e
        except Exception as e:
            # The loader parses YAML, base64 and PEM without mapping what those raise.
            raise SettingsError(f"kubeconfig {kubeconfig}: not usable: {type(e).__name__}: {_line(str(e))}") from e
        try:
            return cls(configuration, namespace, user_agent)
        except (OSError, ssl.SSLError) as e:
            raise SettingsError(f"kubeconfig {kubeconfig}: TLS material is not usable: {e}") from e
        finally:
            # The library unpacks certificates and keys into temporary files, and removes them at a clean exit only.
            # They are in the TLS context now; a SIGKILL must not leave a private key behind.
            _cleanup_temp_files()  # type: ignore[no-untyped-call] # untyped library

    async def close(self) -> None:
        await self._session.close()

    async def list_page(self, resource: str, *, limit: int, continue_token: str) -> bytes:
        """Return one page of a consistent list, as the server wrote it."""
        params = {"limit": str(limit)}
        if continue_token:
            params["continue"] = continue_token
        async with self._request("GET", self._path(resource), params=params) as response:
            return await self._body(response)

    @asynccontextmanager
    async def watch(
        self, resource: str, *, resource_version: str, timeout_s: int, silence_s_max: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a watch; yields the lines of its events once the server has accepted it."""
        params = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_s),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=silence_s_max)
        async with self._request("GET", self._path(resource), params=params, timeout=timeout) as response:
            yield _lines(response)

    async def patch_status(self, resource: str, name: str, patch: Mapping[str, object]) -> str:
        """Merge-patch the status subresource; the resourceVersion that came of it. Raises Conflict if it moved on."""
        path = f"{self._path(resource)}/{quote(name)}/status"
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self._request("PATCH", path, body=patch, headers=headers) as response:
            body = await self._body(response)
        return self._decoded(body, _Stored, f"PATCH {path}").metadata.resource_version

    async def apply(self, path: str, manifest: Mapping[str, object], *, field_manager: str) -> None:
        """Server-side apply of a whole object at `path`."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        params = {"fieldManager": field_manager, "force": "true"}
        async with self._request("PATCH", path, body=manifest, headers=headers, params=params) as response:
            await self._body(response)

    async def allowed(self, access: Access) -> bool:
        """Ask the API server whether this client may do `access` in its namespace."""
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {
                    "namespace": self.namespace,
                    "verb": access.verb,
                    "group": GROUP,
                    "resource": access.resource,
                    "subresource": access.subresource,
                }
            },
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        async with self._request("POST", path, body=review, headers={"Content-Type": "application/json"}) as response:
            body = await self._body(response)
        return self._decoded(body, _Review, f"POST {path}").status.allowed

    def _decoded(self, body: bytes, kind: type[S], what: str) -> S:
        try:
            return msgspec.json.decode(body, type=kind)
        except msgspec.MsgspecError as e:
            raise PeerAway(f"{what}: {self.server}: the server sent garbage: {e}") from e

    def _path(self, resource: str) -> str:
        return f"/apis/{GROUP}/{VERSION}/namespaces/{quote(self.namespace)}/{resource}"

    @asynccontextmanager
    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,  # noqa: ASYNC109 - aiohttp's own type, handed through
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        what = f"{method} {path}"
        try:
            authorization = await self._configuration.get_api_key_with_prefix("BearerToken")
            all_headers = dict(headers or {})
            if authorization:
                all_headers["Authorization"] = authorization
            async with self._session.request(
                method,
                self.server + path,
                params=params,
                data=msgspec.json.encode(body) if body is not None else None,
                headers=all_headers,
                allow_redirects=False,
                timeout=timeout or self._session.timeout,
                server_hostname=self._server_hostname,
            ) as response:
                if response.status >= 300:  # noqa: PLR2004 - anything but success; the API does not redirect
                    raise _error(f"{what}: {self.server}", response.status, await self._body(response))
                yield response
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as e:
            raise PeerRefused(f"{what}: {_line(self.server)} is not the URL of an API server") from e
        except aiohttp.ClientConnectorCertificateError as e:
            raise PeerRefused(f"{what}: {self.server}: its certificate is not trusted: {_line(str(e))}") from e
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            raise PeerAway(f"{what}: {self.server}: {_line(str(e)) or type(e).__name__}") from e

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > _BODY_BYTES_MAX:
                raise PeerRefused(f"{response.method} {response.url.path}: a body of over {_BODY_BYTES_MAX} bytes")
        return bytes(body)


def _error(what: str, status: int, body: bytes) -> PeerError:
    try:
        message = msgspec.json.decode(body, type=_Status).message
    except msgspec.MsgspecError:
        message = ""
    text = f"{what}: {status} {_line(message) or 'without a message'}"
    match status:
        case 409:
            return Conflict(text)
        case 408 | 429:
            return PeerAway(text)
        case _ if status >= 500:  # noqa: PLR2004 - the 5xx of HTTP
            return PeerAway(text)
        case _:
            return PeerRefused(text)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of a stream. One that the end cuts off is dropped: the server ends each with a line break."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > _LINE_BYTES_MAX:
            raise PeerAway(f"{response.method} {response.url.path}: a line of over {_LINE_BYTES_MAX} bytes")
