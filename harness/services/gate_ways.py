"""In which ways a request can go wrong at the gate.

made up here     Answer, HangUp, NotHttp, Gone      the API server never sees the request
spoiled here     CutAfterBytes, CutAfterTime, Drip  it does, and its answer comes to harm on the way back
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
from aiohttp import web

from harness.services.proxying import HungUp, hang_up, read_whole

JSON_TYPE = "application/json"
GONE = 410
# A slow body comes in this many pieces a second.
_PIECES_PER_S = 10


class Forward(Protocol):
    """Passes a request on; `change` stands between the body of its answer and the client."""

    async def __call__(self, change: "Change | None" = None) -> web.StreamResponse: ...


class Change(Protocol):
    """Raises HungUp where the connection is to end."""

    def __call__(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]: ...


class Way(Protocol):
    """What becomes of a request. `words` are for the history; `over` is set when the trouble ends."""

    @property
    def words(self) -> str: ...

    def hits(self, request: web.BaseRequest) -> bool:
        """Whether it concerns this request, of those that its rule selects."""
        ...

    async def meet(self, request: web.BaseRequest, forward: Forward, over: asyncio.Event) -> web.StreamResponse: ...


class _EveryRequest:
    def hits(self, _: web.BaseRequest) -> bool:
        return True


def status_body(code: int, reason: str, message: str) -> bytes:
    """How Kubernetes words an error."""
    return msgspec.json.encode(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            "code": code,
        }
    )


@dataclass(frozen=True)
class Answer(_EveryRequest):
    """A whole answer of our own."""

    words: str
    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)

    async def meet(self, request: web.BaseRequest, _: Forward, __: asyncio.Event) -> web.StreamResponse:
        await read_whole(request)
        return web.Response(
            status=self.status, body=self.body, content_type=self.content_type, headers=dict(self.headers)
        )


@dataclass(frozen=True)
class HangUp(_EveryRequest):
    """The connection ends without an answer, as with a server that has just gone."""

    words: str = "hung up"

    async def meet(self, request: web.BaseRequest, _: Forward, __: asyncio.Event) -> web.StreamResponse:
        return hang_up(request)


@dataclass(frozen=True)
class NotHttp(_EveryRequest):
    """Bytes that are no HTTP, and the end."""

    data: bytes
    words: str = "answered bytes that are no HTTP"

    async def meet(self, request: web.BaseRequest, _: Forward, __: asyncio.Event) -> web.StreamResponse:
        if isinstance(request.transport, asyncio.Transport):
            request.transport.write(self.data)
        return hang_up(request, abort=False)


class Gone:
    """The resourceVersions that are asked for are compacted away. Those that were refused stay gone when it is over."""

    def __init__(self, *, inside_watch: bool) -> None:
        self._inside_watch = inside_watch
        self._gone: set[str] = set()
        self.compacting = True
        where = "an ERROR event of status 410" if inside_watch else "410"
        self.words = f"answered {where}: the version is gone"

    def hits(self, request: web.BaseRequest) -> bool:
        version = request.query.get("resourceVersion", "")
        if self.compacting and version:
            self._gone.add(version)
        return self.compacting or version in self._gone

    async def meet(self, request: web.BaseRequest, _: Forward, __: asyncio.Event) -> web.StreamResponse:
        await read_whole(request)
        text = f"too old resource version: {request.query.get('resourceVersion', '')}"
        body = status_body(GONE, "Expired", text)
        if self._inside_watch:
            return web.Response(body=b'{"type":"ERROR","object":' + body + b"}\n", content_type=JSON_TYPE)
        return web.Response(status=GONE, body=body, content_type=JSON_TYPE)


@dataclass(frozen=True)
class CutAfterBytes(_EveryRequest):
    """The connection breaks when so many bytes of the answer's body have passed."""

    count: int

    @property
    def words(self) -> str:
        return f"cut after {self.count} bytes"

    async def meet(self, _: web.BaseRequest, forward: Forward, __: asyncio.Event) -> web.StreamResponse:
        return await forward(self._change)

    async def _change(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        left = self.count
        async for chunk in chunks:
            yield chunk[:left]
            left -= len(chunk)
            if left <= 0:
                raise HungUp


@dataclass(frozen=True)
class CutAfterTime(_EveryRequest):
    """The connection breaks when the request is so old: for watches, which have no end of their own."""

    seconds: float

    @property
    def words(self) -> str:
        return f"cut after {self.seconds:g} s"

    async def meet(self, request: web.BaseRequest, forward: Forward, over: asyncio.Event) -> web.StreamResponse:
        def cut() -> None:
            if not over.is_set():
                hang_up(request)

        timer = asyncio.get_running_loop().call_later(self.seconds, cut)
        try:
            return await forward()
        finally:
            timer.cancel()


@dataclass(frozen=True)
class Drip(_EveryRequest):
    """The answer's body comes in drops until the trouble is over, then the rest at once."""

    bytes_per_s: int

    @property
    def words(self) -> str:
        return f"slowed to {self.bytes_per_s} bytes a second"

    async def meet(self, _: web.BaseRequest, forward: Forward, over: asyncio.Event) -> web.StreamResponse:
        async def change(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
            size = max(1, self.bytes_per_s // _PIECES_PER_S)
            async for chunk in chunks:
                rest = chunk
                while rest and not over.is_set():
                    yield rest[:size]
                    rest = rest[size:]
                    await _either(over, size / self.bytes_per_s)
                yield rest

        return await forward(change)


async def _either(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        return
