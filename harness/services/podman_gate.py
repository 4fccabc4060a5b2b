"""A fault point between an agent and podman: a socket of its own before podman's. It sees every request.

    agent --unix socket--> gate --unix socket--> podman
                             |
                             +--> Gate: the n-th request, whether it passed, was held, or came to harm

One connection is taken for one request, by its first line: so an agent of ours asks.
"""

import asyncio
import socket
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from harness.errors import ServiceError
from harness.history import Gate, Recorder
from harness.history.records import GateEvent
from harness.services.device_host import DeviceHost
from harness.services.gate_holds import Held, Holds
from harness.services.gate_rules import Rule
from harness.services.listener import BUFFER_BYTES, Listener
from harness.wait import end_tasks

RULE: Final = "podman"


class PodmanGate:
    """`async with`; agents are given `socket`. It outlives podman, and the power of its host."""

    def __init__(self, host: DeviceHost, recorder: Recorder) -> None:
        self.withheld: Rule | None = None
        """Requests of it reach podman, and its answer does not come back."""
        self._host = host
        self._recorder = recorder
        self._holds = Holds(self._tell_hold)
        self._listener: Listener | None = None
        self._silence_over = asyncio.Event()
        self._silence_over.set()
        self._came = 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        listening = socket.create_server(str(self.socket), family=socket.AF_UNIX)
        self._listener = Listener(listening, self._serve, f"podman gate of {self._host.name}")

    async def close(self) -> None:
        """Idempotent."""
        if self._listener is not None:
            await self._listener.close()
        self.socket.unlink(missing_ok=True)

    @property
    def socket(self) -> Path:
        """Seen from within the host too. Its folder is there as long as the host is."""
        return self._host.folder / "gate.sock"

    def fall_silent(self) -> None:
        """From now on requests are taken, and nothing is answered."""
        self._silence_over.clear()

    def speak(self) -> None:
        """Whoever still waits is hung up on, as by a service that is started anew."""
        self._silence_over.set()

    def hold(self, rule: Rule, ordinal: int = 1) -> Held:
        """Hold the `ordinal`-th request of that rule, counted from now on, before it reaches podman."""
        self._holds.disarm(rule)
        return self._holds.hold(rule, ordinal)

    async def ping(self, within_s: float) -> str | None:
        """The first line that is answered here, None if there is none in time."""
        reader, writer = await asyncio.open_unix_connection(self.socket)
        try:
            writer.write(b"GET /_ping HTTP/1.0\r\nHost: d\r\n\r\n")
            async with asyncio.timeout(within_s):
                return (await reader.readline()).decode().strip() or None
        except TimeoutError:
            return None
        finally:
            writer.transport.abort()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            head = await client.readuntil(b"\r\n\r\n")
            method, path, *_ = head.decode(errors="replace").split(" ", 2)
            self._came += 1
            await self._meet(_Request(self._came, method, path, head), client, to_client)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            # Whoever speaks no HTTP, or leaves, is not answered.
            pass

    async def _meet(self, asked: "_Request", client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        held = self._holds.due(asked.method, asked.path)
        more = b""
        if held is not None:
            held.arrive(asked.method, asked.path)
            more = await _read_meanwhile(client, to_client, held)
            if held.decided == "dropped":
                return
        if not self._silence_over.is_set():
            self._tell(asked, "faulted", "no answer")
            await _first_of(_drained(client), self._until_spoken())
            return
        try:
            podman, to_podman = await asyncio.open_unix_connection(self._host.podman_address)
        except (OSError, ServiceError) as e:
            self._tell(asked, "faulted", str(e))
            return
        self._tell(asked, "passed")
        withheld = self.withheld is not None and self.withheld.matches(asked.method, asked.path)
        try:
            to_podman.write(asked.head + more)
            await _first_of(_carry(client, to_podman), _drained(podman) if withheld else _carry(podman, to_client))
        finally:
            to_podman.transport.abort()

    async def _until_spoken(self) -> None:
        await self._silence_over.wait()

    def _tell_hold(self, held: Held, event: GateEvent) -> None:
        now_s, rule = self._recorder.now_s, held.rule.name
        self._recorder.add(
            Gate(at_s=now_s, rule=rule, ordinal=held.ordinal, event=event, method=held.method, path=held.path)
        )

    def _tell(self, asked: "_Request", event: GateEvent, detail: str = "") -> None:
        self._recorder.add(
            Gate(
                at_s=self._recorder.now_s,
                rule=RULE,
                ordinal=asked.ordinal,
                event=event,
                method=asked.method,
                path=asked.path,
                detail=detail,
            )
        )


@dataclass(frozen=True, slots=True)
class _Request:
    """The `ordinal`-th that came. `head` is all that has been read of it."""

    ordinal: int
    method: str
    path: str
    head: bytes


async def _read_meanwhile(client: asyncio.StreamReader, to_client: asyncio.StreamWriter, held: Held) -> bytes:
    """What came of a request while it was held. Whoever leaves meanwhile is let go: its end is part of its network."""
    more = bytearray()

    async def read() -> None:
        with suppress(OSError):
            while data := await client.read(BUFFER_BYTES):
                more.extend(data)
        to_client.transport.abort()

    reading = asyncio.create_task(read())
    try:
        await held.decision()
    finally:
        await end_tasks({reading})
    return bytes(more)


async def _first_of(*ways: Coroutine[None, None, None]) -> None:
    tasks = {asyncio.create_task(way) for way in ways}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end_tasks(tasks)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Until one side ends."""
    with suppress(OSError):
        while data := await source.read(BUFFER_BYTES):
            sink.write(data)
            await sink.drain()


async def _drained(source: asyncio.StreamReader) -> None:
    with suppress(OSError):
        while await source.read(BUFFER_BYTES):
            pass
