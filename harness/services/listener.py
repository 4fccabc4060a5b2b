"""A listening socket of ours. Each connection is served in a task of its own, and none outlives it.

asyncio's own server loses a connection that it is just accepting when it is closed (CPython's gh-109564): it stays
open, with nobody to serve it, until the garbage collector comes by.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Final

from harness.wait import end_tasks

BUFFER_BYTES: Final = 64 * 1024

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]
"""It may end the connection in its own way; what it leaves open is closed."""


class Listener:
    """Listens from its making on, until `close`; `sock` listens, and becomes its own. Needs a running loop."""

    def __init__(self, sock: socket.socket, serve: Serve, name: str) -> None:
        self._sock = sock
        self._serve = serve
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock, self._accept)

    @property
    def address(self) -> str:
        """host:port."""
        host, port = self._sock.getsockname()[:2]
        return f"{host}:{port}"

    async def close(self) -> None:
        """Hang up on everybody. Idempotent."""
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()
        await end_tasks(self._tasks)

    def _accept(self) -> None:
        try:
            connection, _ = self._sock.accept()
        except (BlockingIOError, ConnectionAbortedError):
            # It left before its turn came.
            return
        begun = False

        async def connected() -> None:
            nonlocal begun
            begun = True
            reader, writer = await asyncio.open_connection(sock=connection, limit=BUFFER_BYTES)
            try:
                await self._serve(reader, writer)
                # What was written last still leaves, as long as we are here.
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
            finally:
                writer.transport.abort()

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            # Else its transport has it, and closes it.
            if not begun:
                connection.close()

        task = asyncio.create_task(connected(), name=self._name)
        self._tasks.add(task)
        task.add_done_callback(done)
