"""Starting a child in namespaces that are not ours, so that it is our child all the same.

`nsenter --pid` forks: the process that its caller can signal is not the one that works. But what a thread says of
namespaces holds for the children that it starts, so a thread of its own goes there and starts the child.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from harness.errors import ServiceError

T = TypeVar("T")

NEW_MOUNT: Final = 0x00020000
NEW_CGROUP: Final = 0x02000000
NEW_UTS: Final = 0x04000000
NEW_IPC: Final = 0x08000000
NEW_PID: Final = 0x20000000
NEW_NET: Final = 0x40000000
_ALL: Final = NEW_MOUNT | NEW_CGROUP | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET
_FILE_SYSTEM: Final = 0x200
"""CLONE_FS: who enters a mount namespace may share its working directory with no other thread."""

Placement = Callable[[], None]
"""Called in a thread that starts one child and ends."""


def started_in(placement: Placement, start: Callable[[], T]) -> T:
    """What `start` answers from a thread that `placement` has put elsewhere. Raises what they raise."""

    def go() -> T:
        placement()
        return start()

    with ThreadPoolExecutor(1, thread_name_prefix="namespaces") as pool:
        return pool.submit(go).result()


def as_first_process() -> None:
    """A placement: the child is process 1 of a new process namespace, and takes all others there with it."""
    _checked("unshare", ctypes.CDLL(None, use_errno=True).unshare(NEW_PID))


def beside(pid: int) -> Placement:
    """A placement: the child has all the namespaces of that process. Raises ServiceError if it is gone."""

    def place() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            descriptor = os.pidfd_open(pid)
        except OSError as e:
            raise ServiceError(f"process {pid}, whose namespaces are wanted: {e.strerror}") from e
        try:
            _checked("unshare", libc.unshare(_FILE_SYSTEM))
            _checked("setns", libc.setns(descriptor, _ALL))
        finally:
            os.close(descriptor)

    return place


def _checked(call: str, result: int) -> None:
    if result != 0:
        raise ServiceError(f"{call}: {os.strerror(ctypes.get_errno())}: namespaces need root (CAP_SYS_ADMIN)")
