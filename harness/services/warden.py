"""Owner of last resort: kills and removes what a harness process left behind, however it ended.

    harness process --pipe--> warden process
       own PID, own FOLDER       |  end of file on the pipe = the harness is gone (SIGKILL included)
       release ...               v
                             kill what is still registered or carries our token, wait, remove folders, exit

The pipe is the event: the kernel closes it with the harness. A harness that ends in order has released
everything, so the warden finds nothing to do. Every process the harness starts carries the warden's token in its
environment; that covers the instant between a spawn and its registration, and children that left their group.
Standard library only: it has to start fast.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Self

from harness.errors import ServiceError
from harness.services import procfs

TOKEN_VARIABLE = "FLEETPROOF_WARDEN"  # noqa: S105 - the name of a mark, not a secret
DEATHS_WITHIN_S = 10.0
CLOSE_WITHIN_S = 15.0
LOOKS = 2
BETWEEN_LOOKS_S = 0.02


class Warden:
    """The harness's side of the pipe. One per harness process; `close` is idempotent."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._pids: dict[int, int] = {}
        self._folders: set[Path] = set()

    def start(self) -> Self:
        if self._process is not None:
            raise ServiceError("this warden was started already; make one per harness process")
        # Its own session: Ctrl-C and a hang-up of the terminal reach the harness, not its warden.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "harness.services.warden"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._tell("token", self.token)
        return self

    def __enter__(self) -> Self:
        return self.start() if self._process is None else self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def registered_pids(self) -> frozenset[int]:
        """For the leak audit."""
        return frozenset(self._pids)

    @property
    def registered_folders(self) -> frozenset[Path]:
        """For the leak audit."""
        return frozenset(self._folders)

    def own_process(self, pid: int) -> None:
        """Register a process, with its group if it leads one. A pid that is gone already is no error."""
        state = procfs.process_state(pid)
        if state is None:
            return
        self._tell("own-process", pid, state.start_ticks)
        self._pids[pid] = state.start_ticks

    def release_process(self, pid: int) -> None:
        if (start_ticks := self._pids.get(pid)) is not None:
            self._tell("release-process", pid, start_ticks)
            del self._pids[pid]

    def own_folder(self, path: Path) -> None:
        """Register a folder, before it is made rather than after."""
        path = path.absolute()
        self._tell("own-folder", os.fspath(path))
        self._folders.add(path)

    def release_folder(self, path: Path) -> None:
        path = path.absolute()
        if path in self._folders:
            self._tell("release-folder", os.fspath(path))
            self._folders.discard(path)

    def temp_folder(self, prefix: str, parent: Path | None = None) -> Path:
        """A new private folder that outlives nobody: `remove_folder` ends it, or the warden does."""
        path = (parent or Path(tempfile.gettempdir())) / f"{prefix}{secrets.token_hex(6)}"
        self.own_folder(path)
        path.mkdir(mode=0o700)
        return path

    def remove_folder(self, path: Path) -> None:
        """Raises ServiceError if something keeps the folder from being removed; it stays registered then."""
        try:
            _remove(path)
        except OSError as e:
            raise ServiceError(f"{path}: cannot be removed: {e.strerror}: is something still writing there?") from e
        self.release_folder(path)

    def close(self) -> None:
        """End the warden. What is still registered is killed and removed by it before this returns."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(BrokenPipeError):
            _pipe(process).close()
        try:
            code = process.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired as e:
            process.kill()
            process.wait()
            raise ServiceError(f"the warden did not end within {CLOSE_WITHIN_S:g} s; look for left-overs") from e
        self._pids.clear()
        self._folders.clear()
        if code != 0:
            raise ServiceError(f"the warden ended with exit code {code}; look for left-overs of this run")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServiceError("the warden is not running; start it before anything is spawned")
        return self._process

    def _tell(self, *message: object) -> None:
        process = self._running()
        try:
            # One short write: the kernel keeps it for the reader even if we die right after.
            os.write(_pipe(process).fileno(), json.dumps(message).encode() + b"\n")
        except BrokenPipeError as e:
            raise ServiceError(f"the warden (pid {process.pid}) is gone; nothing may be started without it") from e


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise ServiceError("the warden has no pipe")
    return process.stdin


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)


class _Estate:
    """What the warden would inherit."""

    def __init__(self) -> None:
        self.token: str | None = None
        self.processes: set[tuple[int, int]] = set()
        self.folders: set[str] = set()

    def apply(self, line: bytes) -> None:
        match json.loads(line):
            case ["token", str(token)]:
                self.token = token
            case ["own-process", int(pid), int(start_ticks)]:
                self.processes.add((pid, start_ticks))
            case ["release-process", int(pid), int(start_ticks)]:
                self.processes.discard((pid, start_ticks))
            case ["own-folder", str(path)]:
                self.folders.add(path)
            case ["release-folder", str(path)]:
                self.folders.discard(path)
            case unknown:
                raise ValueError(f"no such message: {unknown!r}")

    def kill(self) -> bool:
        """Kill what is left; True when nothing of it is alive any more."""
        targets = [
            state
            for pid, start_ticks in self.processes
            if (state := procfs.process_state(pid)) is not None and state.start_ticks == start_ticks
        ]
        targets = [t for t in targets if t.alive or procfs.group_members(t.pid)]
        if self.token is not None:
            targets += procfs.with_environment(f"{TOKEN_VARIABLE}={self.token}")
        for target in targets:
            procfs.kill(target)
        return not targets

    def settle(self) -> int:
        """Exit code: 0 when nothing is left."""
        deadline = time.monotonic() + DEATHS_WITHIN_S
        looks_empty = 0
        # Two looks: a process that was between fork and exec at the first shows its mark at the second.
        while looks_empty < LOOKS and time.monotonic() < deadline:
            looks_empty = looks_empty + 1 if self.kill() else 0
            time.sleep(BETWEEN_LOOKS_S)
        problems = [] if looks_empty == LOOKS else ["a process does not die"]
        for folder in sorted(self.folders):
            try:
                _remove(Path(folder))
            except OSError as e:
                problems.append(f"{folder}: {e.strerror}")
        for problem in problems:
            sys.stderr.write(f"fleetproof warden: left behind: {problem}\n")
        return 1 if problems else 0


def main() -> int:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    estate = _Estate()
    for line in sys.stdin.buffer:
        # A last line that was cut short is the one thing a dying harness may leave; the token covers it.
        with contextlib.suppress(ValueError):
            estate.apply(line)
    return estate.settle()


if __name__ == "__main__":
    sys.exit(main())
