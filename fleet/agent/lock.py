"""The device lock: at any time one agent of a machine acts, and another waits for it. The kernel frees it at any death.

    first try, not blocking -- free --> held
             \\-- taken --> a thread blocks in flock(2) --> call_soon_threadsafe --> held

flock(2) can be waited for only by blocking in it, and no signal ends it in a thread. So a wait that was cancelled
leaves its thread behind, which gives the lock back the moment it gets it.
"""

import asyncio
import fcntl
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from fleet.errors import ArtifactError

_HOLDER_BYTES_MAX = 200
_MODE = 0o600


class DeviceLock:
    """Held from `acquire` to `release`, or to the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    async def acquire(cls, path: Path, *, version: str, taken: Callable[[str], None]) -> Self:
        """Wait for it as long as it takes. `taken` is told once who holds it, if it is not free at once.

        The file then says who we are, for people. Raises ArtifactError if it can't be opened or locked.
        """
        told = False
        while True:
            descriptor = _open(path)
            if not _free(descriptor, path):
                if not told:
                    taken(_holder(descriptor))
                    told = True
                await _wait(descriptor, path)
            if _is_at(descriptor, path):
                _sign(descriptor, f"pid {os.getpid()}, version {version}\n")
                return cls(descriptor)
            # Somebody removed or replaced the file meanwhile: that lock is nobody's any more.
            os.close(descriptor)

    def release(self) -> None:
        """Idempotent. Never removes the file: whoever waits for it would then hold another lock than the next one."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


async def _wait(descriptor: int, path: Path) -> None:
    """Block in a thread until it is ours. Owns the descriptor until then: closes it if that fails or is cancelled."""
    loop = asyncio.get_running_loop()
    locked: asyncio.Future[None] = loop.create_future()

    def settle(error: OSError | None) -> None:
        if locked.cancelled():
            os.close(descriptor)
        elif error is not None:
            os.close(descriptor)
            locked.set_exception(_trouble(path, error))
        else:
            locked.set_result(None)

    def block() -> None:
        error = None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as e:
            error = e
        try:
            loop.call_soon_threadsafe(settle, error)
        except RuntimeError:  # the loop is closed: nobody waits any more
            os.close(descriptor)

    threading.Thread(target=block, name="device-lock", daemon=True).start()
    try:
        await locked
    except asyncio.CancelledError:
        if not locked.cancelled() and locked.exception() is None:
            os.close(descriptor)
        raise


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _MODE)
    except OSError as e:
        raise _trouble(path, e) from e


def _free(descriptor: int, path: Path) -> bool:
    """Whether it was, and so is ours now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as e:
        os.close(descriptor)
        raise _trouble(path, e) from e
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> str:
    """What the holder wrote: empty in the moment before it has."""
    return os.pread(descriptor, _HOLDER_BYTES_MAX, 0).decode(errors="replace").strip()


def _sign(descriptor: int, text: str) -> None:
    # On a full disk the lock is as good without it.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _trouble(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"{path}: can't be locked: {error.strerror}; is its folder there and FLEET_ROOT right?")
