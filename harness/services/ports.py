"""Ports that nobody else of this user's harness processes gets, kept across restarts of their server.

A lease is a flock on one small file per port. The kernel drops it with the process, so a SIGKILL leaks nothing.
The range lies below the one the kernel hands out for outgoing connections, so no client socket sits on a leased port.
"""

import contextlib
import errno
import fcntl
import os
import socket
from pathlib import Path
from typing import Self

import platformdirs

from harness.errors import ServiceError

FIRST_PORT = 20000
LAST_PORT = 28999
HOST = "127.0.0.1"


def ports_folder() -> Path:
    """One per user; `FLEETPROOF_CACHE` moves it with the rest of the cache."""
    root = os.environ.get("FLEETPROOF_CACHE")
    return (Path(root) if root else Path(platformdirs.user_cache_dir("fleetproof"))) / "ports"


class PortLease:
    """A port of ours until `release`; a server may bind it, die, and bind it again."""

    def __init__(self, port: int, descriptor: int) -> None:
        self.port = port
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def lease(folder: Path | None = None) -> PortLease:
    """The next free port. Raises ServiceError if there is none."""
    folder = folder or ports_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = LAST_PORT - FIRST_PORT + 1
    # Workers start far apart (a prime step), so that they rarely try the same files.
    start = os.getpid() * 97 % count
    for step in range(count):
        port = FIRST_PORT + (start + step) % count
        descriptor = _lock(folder / f"{port}.lock")
        if descriptor is None:
            continue
        if _bindable(port):
            return PortLease(port, descriptor)
        os.close(descriptor)
    raise ServiceError(f"no free port between {FIRST_PORT} and {LAST_PORT}; `ss -tlnp` shows who holds them")


def leased_ports(folder: Path | None = None) -> dict[int, int]:
    """Port -> pid of its holder, for all of this user's harness processes. It looks at thousands of files."""
    held = {}
    for path in sorted((folder or ports_folder()).glob("*.lock")):
        with contextlib.suppress(FileNotFoundError, ValueError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                held[int(path.stem)] = int(file.read(20) or b"0")
    return held


def own_ports(folder: Path | None = None) -> frozenset[int]:
    """Leased by this process, as its open files tell: what the leak audit compares, twice a test."""
    folder = (folder or ports_folder()).resolve()
    held = set()
    with os.scandir("/proc/self/fd") as descriptors:
        for descriptor in descriptors:
            # The scan's own is gone by the time it is looked at.
            with contextlib.suppress(FileNotFoundError):
                path = Path(descriptor.path).readlink()
                if path.parent == folder:
                    held.add(int(path.stem))
    return frozenset(held)


def _lock(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a connection in TIME_WAIT is no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as e:
            if e.errno == errno.EADDRINUSE:
                return False
            raise ServiceError(f"{HOST}:{port}: cannot be bound: {e.strerror}") from e
    return True
