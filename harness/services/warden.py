"""Owner of last resort: kills and removes what a harness process left behind, however it ended.

    harness process --pipe--> warden process
       own PID, own FOLDER,      |  end of file on the pipe = the harness is gone (SIGKILL included)
       own MOUNT, NETNS, CGROUP  v
       release ...           kill what is still registered or carries our token, wait, unmount, remove folders, exit

The pipe is the event: the kernel closes it with the harness. A harness that ends in order has released
everything, so the warden finds nothing to do. Every process the harness starts carries the warden's token in its
environment; that covers the instant between a spawn and its registration, and children that left their group.
Standard library only: it has to start fast.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Self

from harness.errors import ServiceError
from harness.services import estates, kernel_things, procfs
from harness.services.estate import TOKEN_VARIABLE, Estate, Settled, remove_folder
from harness.services.estates import EstateFile
from harness.services.kernel_things import Kind

__all__ = ["TOKEN_VARIABLE", "Warden"]

CLOSE_WITHIN_S = 15.0


class Warden:
    """The harness's side of the pipe. One per harness process; `close` is idempotent."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._file: EstateFile | None = None
        self._pids: dict[int, int] = {}
        self._folders: set[Path] = set()
        self._things: set[tuple[Kind, str]] = set()

    def start(self) -> Self:
        if self._process is not None:
            raise ServiceError("this warden was started already; make one per harness process")
        self._file = EstateFile(os.environ, self.token)
        # Its own session: Ctrl-C and a hang-up of the terminal reach the harness, not its warden.
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [
                sys.executable,
                "-m",
                "harness.services.warden",
                self.token,
                self._file.path,
                *map(str, self._file.shared),
            ],
            pass_fds=self._file.shared,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
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

    @property
    def registered_things(self) -> frozenset[tuple[Kind, str]]:
        """Mounts, network namespaces and control groups, for the leak audit."""
        return frozenset(self._things)

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
            remove_folder(path)
        except OSError as e:
            raise ServiceError(f"{path}: cannot be removed: {e.strerror}: is something still writing there?") from e
        self.release_folder(path)

    def own_thing(self, kind: Kind, name: str) -> None:
        """Register a mount point, a network namespace or a control group, before it is made rather than after."""
        self._tell("own-thing", kind, name)
        self._things.add((kind, name))

    def end_thing(self, kind: Kind, name: str) -> None:
        """Take it away and forget it. Idempotent. Raises ServiceError if it stays; it stays registered then."""
        if (kind, name) not in self._things:
            return
        try:
            kernel_things.end(kind, name)
        except OSError as e:
            raise ServiceError(f"{kind} {name}: cannot be taken away: {e.strerror}: is it still in use?") from e
        self._tell("release-thing", kind, name)
        self._things.discard((kind, name))

    def own_mount(self, path: Path) -> None:
        """Register a mount point, before anything is mounted there."""
        self.own_thing("mount", os.fspath(path.absolute()))

    def release_mount(self, path: Path) -> None:
        """Unmount it if it is mounted, and forget it. Idempotent. Raises ServiceError."""
        self.end_thing("mount", os.fspath(path.absolute()))

    def close(self) -> None:
        """End the warden. What is still registered is killed and removed by it before this returns."""
        process, self._process = self._process, None
        if process is None:
            return
        pipe = _pipe(process)
        if self._file is not None:
            self._file.close()
        with contextlib.suppress(BrokenPipeError):
            # What is still registered is no left-over of a harness that was killed.
            os.write(pipe.fileno(), b'["close"]\n')
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        try:
            code = process.wait(CLOSE_WITHIN_S)
        except subprocess.TimeoutExpired as e:
            process.kill()
            process.wait()
            raise ServiceError(f"the warden did not end within {CLOSE_WITHIN_S:g} s; look for left-overs") from e
        self._pids.clear()
        self._folders.clear()
        self._things.clear()
        if code != 0:
            raise ServiceError(f"the warden ended with exit code {code}; look for left-overs of this run")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServiceError("the warden is not running; start it before anything is spawned")
        return self._process

    def _tell(self, *message: object) -> None:
        process = self._running()
        if self._file is not None:
            self._file.add(*message)
        try:
            # One short write: the kernel keeps it for the reader even if we die right after.
            os.write(_pipe(process).fileno(), json.dumps(message).encode() + b"\n")
        except BrokenPipeError as e:
            raise ServiceError(f"the warden (pid {process.pid}) is gone; nothing may be started without it") from e


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:
        raise ServiceError("the warden has no pipe")
    return process.stdin


def main(arguments: Sequence[str]) -> int:
    """`arguments` are the token, the estate's file and the descriptor of it, if there is one. 0: nothing is left."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_IGN)
    token, path, *shared = arguments
    estate = Estate(token)
    for line in sys.stdin.buffer:
        # A last line that was cut short is the one thing a dying harness may leave; the token covers it.
        with contextlib.suppress(ValueError):
            estate.apply(line)
    settled = estate.settle()
    for problem in settled.problems:
        sys.stderr.write(f"fleetproof warden: left behind: {problem}\n")
    # What a harness had not released when it closed in order is no left-over of a kill.
    in_order = estate.closed and not settled.problems
    estates.ended(Path(path), [int(descriptor) for descriptor in shared], Settled() if in_order else settled)
    return 1 if settled.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
