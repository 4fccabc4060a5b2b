"""HTTP/1.1 over a unix socket: one connection for one request, every answer bounded in bytes and in time.

h11 knows the protocol and does no I/O; the socket is asyncio's. A connection of its own costs a request about as much
as a kept one (docs/adr/0019), cannot be stale, and closing it is how a request is given up: whoever leaves, by an
error, a deadline or a cancellation, leaves no open socket. What the peer breaks is mapped here, to RuntimeAway.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import h11

from fleet.agent.runtime.protocol import RuntimeAway

TIMEOUT_S = 30.0
ANSWER_BYTES_MAX = 16 * 1024 * 1024
_HEAD_BYTES_MAX = 64 * 1024
_READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; each status that a server may send is one."""

    status: int
    body: bytes


class Stream:
    """An answer whose body is still coming."""

    def __init__(self, status: int, exchange: "_Exchange") -> None:
        self.status = status
        self._exchange = exchange

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes, to its end. No deadline: the caller has one, or waits for as long as the peer lives."""
        while isinstance(event := await self._exchange.event(), h11.Data):
            yield bytes(event.data)

    async def read(self, bytes_max: int) -> bytes:
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > bytes_max:
                raise RuntimeAway(f"{self._exchange.where}: the answer is larger than {bytes_max} bytes")
        return bytes(body)


class UnixHttp:
    """A server behind a socket file. Every call raises RuntimeAway if there is no usable answer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def call(
        self,
        method: str,
        target: str,
        *,
        body: bytes | None = None,
        timeout_s: float = TIMEOUT_S,
        bytes_max: int = ANSWER_BYTES_MAX,
    ) -> Answer:
        """One request and all of its answer, within `timeout_s`. `target` is a quoted path with its query."""
        where = self._where(method, target)
        with _deadline_of(where, timeout_s):
            async with asyncio.timeout(timeout_s), self._exchange(where) as exchange:
                stream = await exchange.ask(method, target, body)
                return Answer(stream.status, await stream.read(bytes_max))

    @asynccontextmanager
    async def stream(
        self, method: str, target: str, *, body: bytes | None = None, accept_timeout_s: float = TIMEOUT_S
    ) -> AsyncIterator[Stream]:
        """One request whose answer has begun within `accept_timeout_s`; leaving the context closes the connection."""
        where = self._where(method, target)
        # Neither deadline nor mapping may reach the caller's own errors: they end before the body of the `with`.
        async with self._exchange(where, accept_timeout_s) as exchange:
            with _deadline_of(where, accept_timeout_s):
                async with asyncio.timeout(accept_timeout_s):
                    stream = await exchange.ask(method, target, body)
            yield stream

    @asynccontextmanager
    async def _exchange(self, where: str, connect_timeout_s: float | None = None) -> AsyncIterator["_Exchange"]:
        with _deadline_of(where, connect_timeout_s or 0.0), _mapped(where):
            async with asyncio.timeout(connect_timeout_s):
                reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            yield _Exchange(where, reader, writer)
        finally:
            # Not close(): that would wait for the peer to take what is still unsent.
            writer.transport.abort()

    def _where(self, method: str, target: str) -> str:
        return f"{self._path}: {method} {target.partition('?')[0]}"


class _Exchange:
    """One request and its answer on a connection of their own."""

    def __init__(self, where: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.where = where
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)

    async def ask(self, method: str, target: str, body: bytes | None) -> Stream:
        """Send the request; return when the head of its answer is there."""
        headers = [("Host", "localhost"), ("Accept", "application/json"), ("Connection", "close")]
        if body is not None:
            headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        message = self._http.send(h11.Request(method=method, target=target, headers=headers)) or b""
        message += (self._http.send(h11.Data(data=body or b"")) or b"") + (self._http.send(h11.EndOfMessage()) or b"")
        with _mapped(self.where):
            self._writer.write(message)
            await self._writer.drain()
        while isinstance(event := await self.event(), h11.InformationalResponse):
            pass
        if not isinstance(event, h11.Response):
            raise RuntimeAway(f"{self.where}: the connection was closed without an answer")
        return Stream(event.status_code, self)

    async def event(self) -> h11.Event:
        with _mapped(self.where):
            while True:
                event = self._http.next_event()
                if isinstance(event, h11.Event):
                    return event
                if event is not h11.NEED_DATA:
                    raise RuntimeAway(f"{self.where}: the peer left HTTP")
                self._http.receive_data(await self._reader.read(_READ_BYTES))


@contextmanager
def _mapped(where: str) -> Iterator[None]:
    try:
        yield
    except h11.ProtocolError as error:
        raise RuntimeAway(f"{where}: no HTTP answer: {error}") from error
    except TimeoutError:
        raise  # a deadline, which whoever set it explains
    except OSError as error:
        raise RuntimeAway(f"{where}: {error.strerror or type(error).__name__}") from error


@contextmanager
def _deadline_of(where: str, timeout_s: float) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise RuntimeAway(f"{where}: no answer within {timeout_s:g} s") from error
