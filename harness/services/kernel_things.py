"""What lives in the kernel and ends with no process: mounts, named network namespaces, control groups.

`end` takes one away and is repeatable. Standard library only, and no event loop: the warden's process uses it too.
"""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Final, Literal

Kind = Literal["mount", "netns", "cgroup"]
NETNS_FOLDER: Final = Path("/run/netns")

_DETACH: Final = 2
"""MNT_DETACH: gone from the tree at once, also while somebody still has a file open below it."""
_EMPTY_WITHIN_S: Final = 5.0
_BETWEEN_LOOKS_S: Final = 0.01


def end(kind: Kind, name: str) -> bool:
    """Take it away; False if it is gone already. Raises OSError.

    `name` is the path of a mount point or of a control group, or the name of a network namespace.
    """
    match kind:
        case "mount":
            return unmount(Path(name))
        case "netns":
            path = NETNS_FOLDER / name
            mounted = unmount(path)
            path.unlink(missing_ok=True)
            return mounted
        case "cgroup":
            return _remove_group(Path(name))


def unmount(path: Path) -> bool:
    """False where nothing is mounted. Raises OSError."""
    if not _mounted(path):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(path), _DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), os.fspath(path))
    return True


def _mounted(path: Path) -> bool:
    """By the kernel's list: a file that is a mount point, as a namespace's name is, looks like any other file."""
    # Blanks in a path stand there as octal escapes.
    wanted = os.fsencode(path.resolve()).replace(b"\\", rb"\134").replace(b" ", rb"\040")
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return any(line.split(b" ")[4] == wanted for line in lines)


def _remove_group(path: Path) -> bool:
    """Kill whoever is still in it or below it. A control group can only be removed when it is empty."""
    deadline = time.monotonic() + _EMPTY_WITHIN_S
    there = path.is_dir()
    while path.is_dir():
        try:
            # The innermost first.
            for group in sorted((Path(folder) for folder, _, _ in os.walk(path)), reverse=True):
                for pid in (group / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
                group.rmdir()
        except OSError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_BETWEEN_LOOKS_S)
    return there
