"""A TCP relay that is no fault point but a witness: it counts what each connection carries and tells how it ended.

    client --> relay --> upstream (a fault point, a server)
                 |
                 +--> LinkEnd: the n-th connection, its bytes, who ended it

What happens to one side happens to the other: an end is passed on as an end, a reset as a reset, a stall as a stall.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Final, Literal, Self

from harness.history import LinkEnd, Recorder
from harness.services.listener import BUFFER_BYTES, Listener
from harness.services.ports import HOST, PortLease, lease

_CONNECT_WITHIN_S = 5.0
# SO_LINGER with no time to linger: closing sends a reset.
_NO_LINGER = struct.pack("ii", 1, 0)

Side = Literal["client", "server"]
_CLIENT: Final[Side] = "client"
_SERVER: Final[Side] = "server"
End = tuple[Side, bool]
"""Who ended a connection, and whether by a reset."""


class Relay:
    """`async with Relay(name, upstream) as relay`; clients connect to `listen`. Connections end with it."""

    def __init__(
        self, name: str, upstream: str, recorder: Recorder | None = None, sock: socket.socket | None = None
    ) -> None:
        """`upstream` is host:port. `sock` listens already and becomes the relay's; else it takes a leased port."""
        self.name = name
        self.carried_bytes: list[int] = []
        """What each connection has brought to its client so far, in the order in which they came."""
        self._upstream = upstream
        self._recorder = recorder
        self._sock = sock
        self._lease: PortLease | None = None
        self._listener: Listener | None = None
        self._ended = 0

    async def __aenter__(self) -> Self:
        self._listener = Listener(self._sock or self._leased(), self._carry, f"relay {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            await self._listener.close()
        if self._lease is not None:
            self._lease.release()

    @property
    def listen(self) -> str:
        """host:port."""
        if self._listener is None:
            raise AssertionError("a relay is entered before it is used")
        return self._listener.address

    def _leased(self) -> socket.socket:
        self._lease = lease()
        try:
            return socket.create_server((HOST, self._lease.port))
        except BaseException:
            self._lease.release()
            raise

    async def _carry(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        number = len(self.carried_bytes)
        self.carried_bytes.append(0)
        to_server: asyncio.StreamWriter | None = None

        def carried(count: int) -> None:
            self.carried_bytes[number] += count

        try:
            host, _, port = self._upstream.rpartition(":")
            try:
                async with asyncio.timeout(_CONNECT_WITHIN_S):
                    server, to_server = await asyncio.open_connection(host, int(port))
            except (OSError, TimeoutError):
                ended_by, reset = _SERVER, True
            else:
                ended_by, reset = await _first_of(
                    _pump(client, to_server, _CLIENT, _SERVER, lambda _: None),
                    _pump(server, to_client, _SERVER, _CLIENT, carried),
                )
        except asyncio.CancelledError:
            _close(to_client, to_server, reset=True)
            raise
        self._tell_end(number, ended_by)
        _close(to_client, to_server, reset=reset)

    def _tell_end(self, number: int, by: Side) -> None:
        self._ended += 1
        if self._recorder is not None:
            at_s, carried = self._recorder.now_s, self.carried_bytes[number]
            self._recorder.add(LinkEnd(at_s=at_s, link=self.name, ordinal=self._ended, carried_bytes=carried, by=by))


async def _pump(
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    source_side: Side,
    sink_side: Side,
    carried: Callable[[int], None],
) -> End:
    """Carry one way until one of the two sides ends."""
    while True:
        try:
            data = await source.read(BUFFER_BYTES)
        except ConnectionError:
            return source_side, True
        if not data:
            return source_side, False
        sink.write(data)
        carried(len(data))
        try:
            await sink.drain()
        except ConnectionError:
            return sink_side, True


async def _first_of(*ways: Coroutine[None, None, End]) -> End:
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return ended.pop().result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _close(*writers: asyncio.StreamWriter | None, reset: bool) -> None:
    for writer in writers:
        if writer is None or writer.transport.is_closing():
            continue
        if reset:
            raw = writer.get_extra_info("socket")
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            writer.transport.abort()
        else:
            # What was written is sent first.
            writer.close()
