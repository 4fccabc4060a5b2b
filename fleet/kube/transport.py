"""Bytes to the API server and back: one HTTP session, one table of errors, one renewal of credentials per request."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import msgspec

from fleet.errors import Conflict, NotFound, PeerAway, PeerError, PeerRefused
from fleet.kube.login import Grant, Login
from fleet.kube.unreadable import UNREADABLE

CONNECT_TIMEOUT_S = 5.0
REQUEST_TIMEOUT_S = 30.0
# An API server gives up after a minute.
_LONG_BODY_TIMEOUT_S = 120.0
# A server that takes a stream says so at once, however long it is silent afterwards.
_ACCEPT_TIMEOUT_S = 10.0
_BODY_BYTES_MAX = 512 * 1024 * 1024
# One event of a watch; etcd holds objects of up to a few MiB.
_LINE_BYTES_MAX = 16 * 1024 * 1024
_UNAUTHORIZED = 401

# A peer whose machine or network is gone sends neither news nor a reset: the kernel asks, and gives up after 30 s.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class Expired(PeerRefused):
    """410: the resourceVersion or the page's token is too old."""


class AlreadyExists(Conflict):
    """409 to a create: the name is taken."""


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    timeout: aiohttp.ClientTimeout
    params: Mapping[str, str] | None = None
    data: bytes | None = None
    content_type: str = "application/json"


class Transport:
    """Requests to one API server. Errors: PeerAway, PeerRefused, Conflict and their kinds; none holds a secret."""

    def __init__(
        self,
        server: str,
        login: Login,
        *,
        user_agent: str,
        tls_server_name: str | None = None,
        proxy: str | None = None,
    ) -> None:
        self.server = server
        self._login = login
        self._tls_server_name = tls_server_name
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, socket_factory=_socket),
            headers={"User-Agent": user_agent, "Accept": "application/json"},
            read_bufsize=1 << 20,
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            proxy=proxy,
        )

    async def close(self) -> None:
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, object] | bytes | None = None,
        content_type: str = "application/json",
    ) -> bytes:
        """One request and the whole body of its answer."""
        data = msgspec.json.encode(body) if isinstance(body, Mapping) else body
        request = _Request(method, path, self._session.timeout, params, data, content_type)
        async with self._answer(request) as response:
            return await _body(response)

    @asynccontextmanager
    async def chunks(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """One request for a body of any length; yields it as it comes in. PeerAway, also within, if it breaks off."""
        timeout = aiohttp.ClientTimeout(
            total=_LONG_BODY_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S, sock_read=REQUEST_TIMEOUT_S
        )
        async with self._answer(_Request("GET", path, timeout)) as response:
            yield response.content.iter_any()

    @asynccontextmanager
    async def lines(
        self, path: str, *, params: Mapping[str, str], silence_s_max: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a stream; yields its lines once the server has accepted it. PeerAway after `silence_s_max` of none."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=silence_s_max)
        try:
            async with (
                asyncio.timeout(_ACCEPT_TIMEOUT_S) as acceptance,
                self._answer(_Request("GET", path, timeout, params)) as response,
            ):
                acceptance.reschedule(None)
                yield _lines(response)
        except TimeoutError as e:
            raise PeerAway(f"GET {path}: {self.server}: not accepted within {_ACCEPT_TIMEOUT_S:g} s") from e

    @asynccontextmanager
    async def _answer(self, request: _Request) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer of success. A 401 is met with a new grant, once: what was refused so had no effect."""
        where = f"{request.method} {request.path}: {self.server}"
        try:
            grant = await self._login.grant()
            response = await self._send(request, grant)
            if response.status == _UNAUTHORIZED:
                response = await self._again(request, grant, response)
            async with response:
                if response.status >= 300:  # noqa: PLR2004 - anything but success; the API does not redirect
                    raise _error(where, response.status, await _body(response))
                yield response
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as e:
            raise PeerRefused(f"{where} is not the URL of an API server") from e
        except aiohttp.ClientConnectorCertificateError as e:
            raise PeerRefused(f"{where}: its certificate is not trusted: {_line(str(e))}") from e
        except (TimeoutError, aiohttp.ClientError, OSError) as e:
            raise PeerAway(f"{where}: {_line(str(e)) or type(e).__name__}") from e

    async def _again(self, request: _Request, grant: Grant, refusal: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
        """Send it with another grant; if there is none, the refusal stands."""
        try:
            renewed = await self._login.renewed(grant)
        except BaseException:
            refusal.close()
            raise
        if renewed is None:
            return refusal
        refusal.close()
        return await self._send(request, renewed)

    async def _send(self, request: _Request, grant: Grant) -> aiohttp.ClientResponse:
        headers = {} if request.data is None else {"Content-Type": request.content_type}
        if grant.authorization:
            headers["Authorization"] = grant.authorization
        return await self._session.request(
            request.method,
            self.server + request.path,
            params=request.params,
            data=request.data,
            headers=headers,
            allow_redirects=False,
            timeout=request.timeout,
            ssl=grant.tls,
            server_hostname=self._tls_server_name,
        )


def _socket(address: tuple[object, ...]) -> socket.socket:
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)  # type: ignore[arg-type] # getaddrinfo's own triple
    for level, option, value in _KEEPALIVE:
        made.setsockopt(level, option, value)
    return made


def _error(what: str, status: int, body: bytes) -> PeerError:
    try:
        answer = msgspec.json.decode(body, type=_Status)
    except UNREADABLE:
        answer = _Status()
    text = f"{what}: {status} {_line(answer.message) or 'without a message'}"
    match status:
        case 404:
            return NotFound(text)
        case 409:
            return AlreadyExists(text) if answer.reason == "AlreadyExists" else Conflict(text)
        case 410:
            return Expired(text)
        case 408 | 429:
            return PeerAway(text)
        case _ if status >= 500:  # noqa: PLR2004 - the 5xx of HTTP
            return PeerAway(text)
        case _:
            return PeerRefused(text)


def _line(text: str) -> str:
    return " ".join(text.split())[:300]


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _BODY_BYTES_MAX:
            raise PeerRefused(f"{response.method} {response.url.path}: a body of over {_BODY_BYTES_MAX} bytes")
    return bytes(body)


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
