"""Our commands as processes of their own, and what they leave: processes, leased ports, temporary files.

A command gets a folder for all that it makes. Whatever it starts is known by that folder: it stands in the environment
of what inherits one, and the servers, which get an environment of their own, work in its temporary folder.
"""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.services import procfs
from harness.services.estates import STATE_VARIABLE
from harness.services.ports import leased_ports
from harness.wait import wait_for

FLEETPROOF = (str(Path(sys.executable).with_name("fleetproof")),)
FLEET = (sys.executable, "-m", "fleet")
END_WITHIN_S = 90.0
# A page of JSON is one line of a stream.
_LINE_BYTES_MAX = 16 * 1024 * 1024
# Of a pytest run around us; the command is not part of it.
_NOT_INHERITED = ("PYTEST_", "FLEETPROOF_RUNS", "FLEETPROOF_WARDEN", "FORCE_COLOR", "CLICOLOR_FORCE")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended: its code (negative for a signal) and all its lines."""

    code: int
    out: Sequence[str]
    err: Sequence[str]

    @property
    def text(self) -> str:
        return "\n".join([*self.out, *self.err])


class Footprint:
    """What a command may leave in its folder and on the machine."""

    def __init__(self, folder: Path) -> None:
        self.temp = folder / "tmp"
        self.runs = folder / "runs"
        self.state = folder / "state"
        self.cwd = folder / "cwd"
        for path in (self.temp, self.cwd):
            path.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._seen: set[int] = set()

    def environment(self, changes: Mapping[str, str | None]) -> dict[str, str]:
        """This process's, without what is about this test run, with `changes` on top; None takes one away."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)}
        own = {
            "TMPDIR": str(self.temp),
            "FLEETPROOF_RUNS": str(self.runs),
            STATE_VARIABLE: str(self.state),
            "COLUMNS": "200",
        }
        return {k: v for k, v in {**inherited, **own, **changes}.items() if v is not None}

    def processes(self) -> dict[int, str]:
        """Whatever lives of it now: pid -> command line."""
        mark = os.fsencode(self._folder)
        found = {}
        for state in procfs.processes():
            home = procfs.PROC / str(state.pid)
            try:
                belongs = mark in (home / "environ").read_bytes() or mark in os.fsencode((home / "cwd").readlink())
                command = (home / "cmdline").read_bytes()
            except OSError:
                # Gone meanwhile, or another user's.
                continue
            if state.alive and belongs:
                found[state.pid] = command.replace(b"\0", b" ").decode(errors="replace").strip()
        self._seen |= found.keys()
        return found

    def left(self) -> list[str]:
        """One line per thing that should be gone."""
        return [
            *(f"process {pid}: {command}" for pid, command in self.processes().items()),
            *(f"port {port}: leased by {pid}" for port, pid in leased_ports().items() if pid in self._seen),
            *(f"temporary {path}" for path in sorted(self.temp.iterdir())),
        ]

    async def wait_nothing_left(self, deadline_s: float) -> None:
        """For what is cleared by somebody else than the command. Raises WaitTimeout."""

        def probe() -> bool | None:
            return None if self.left() else True

        await wait_for(f"nothing to be left in {self._folder}", probe, deadline_s=deadline_s)

    async def kill(self) -> None:
        """Last resort of a test that failed."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await wait_for("the command's processes to die", lambda: None if self.processes() else True, deadline_s=10.0)


class Command:
    """A running command, the leader of its process group, as a shell starts one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.pid = process.pid
        self._process = process
        self._out: list[str] = []
        self._err: list[str] = []
        self._news = asyncio.Event()
        self._readers = [
            asyncio.create_task(self._read(stream, lines), name="reader of a command")
            for stream, lines in ((process.stdout, self._out), (process.stderr, self._err))
        ]

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        footprint: Footprint,
        *,
        changes: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> Self:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LINE_BYTES_MAX,
            cwd=cwd or footprint.cwd,
            env=footprint.environment(changes or {}),
            start_new_session=True,
        )
        return cls(process)

    async def wait_line(self, part: str, *, deadline_s: float = END_WITHIN_S) -> None:
        """Until a line of either stream has `part` in it. Raises AssertionError if it ends without."""
        async with asyncio.timeout(deadline_s):
            while not any(part in line for line in (*self._out, *self._err)):
                if all(reader.done() for reader in self._readers):
                    raise AssertionError(f"ended without a line {part!r}:\n" + "\n".join([*self._out, *self._err]))
                self._news.clear()
                await self._news.wait()

    def interrupt(self, number: signal.Signals) -> None:
        """Signal the whole group, as a terminal does."""
        os.killpg(self.pid, number)

    async def end(self, *, deadline_s: float = END_WITHIN_S) -> Ended:
        """Wait for its end; at the deadline it is killed and the TimeoutError raised."""
        try:
            async with asyncio.timeout(deadline_s):
                await asyncio.gather(*self._readers)
                code = await self._process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            await self._process.wait()
            raise
        return Ended(code, self._out, self._err)

    async def _read(self, stream: asyncio.StreamReader | None, lines: list[str]) -> None:
        if stream is None:
            raise AssertionError("a command is started with pipes")
        try:
            while line := await stream.readline():
                lines.append(line.decode(errors="replace").rstrip("\n"))
                self._news.set()
        finally:
            self._news.set()


async def run(
    argv: Sequence[str],
    footprint: Footprint,
    *,
    changes: Mapping[str, str | None] | None = None,
    deadline_s: float = END_WITHIN_S,
) -> Ended:
    """Start a command and wait for its end."""
    command = await Command.start(argv, footprint, changes=changes)
    return await command.end(deadline_s=deadline_s)
