"""What a system call is named in a step: the call, and what it is about. Pure, but for what the caller looks up.

    rename deployments/.web.desired.tmp          a path below the agent's own folder
    sendto podman POST containers/ID/stop        on a socket: whose, and the request that it carries or waits for
    sendto nats PUB $KV.device-state.*           what differs between any two runs is taken out

Waiting (epoll, futex), memory, time and signals are no steps: they have no effect outside of the process.
"""

import platform
import re
from collections.abc import Mapping
from typing import Final

# Numbers on x86-64 and on arm64, which lacks some.
_NUMBERS: Final = """
read 0 63, write 1 64, open 2 -, close 3 57, stat 4 -, fstat 5 80, lstat 6 -, lseek 8 62, ioctl 16 29, pread64 17 67,
pwrite64 18 68, readv 19 65, writev 20 66, access 21 -, socket 41 198, connect 42 203, sendto 44 206, recvfrom 45 207,
sendmsg 46 211, recvmsg 47 212, shutdown 48 210, bind 49 200, listen 50 201, getsockname 51 204, getpeername 52 205,
socketpair 53 199, setsockopt 54 208, getsockopt 55 209, fcntl 72 25, flock 73 32, fsync 74 82, fdatasync 75 83,
truncate 76 45, ftruncate 77 46, rename 82 -, mkdir 83 -, rmdir 84 -, link 86 -, unlink 87 -, symlink 88 -,
readlink 89 -, chmod 90 -, fchmod 91 52, getdents64 217 61, openat 257 56, mkdirat 258 34, newfstatat 262 79,
unlinkat 263 35, renameat 264 38, readlinkat 267 78, fchmodat 268 53, faccessat 269 48, renameat2 316 276,
statx 332 291
"""
_COLUMN: Final = 2 if platform.machine() == "aarch64" else 1
CALLS: Final[Mapping[int, str]] = {
    int(row.split()[_COLUMN]): row.split()[0] for row in _NUMBERS.split(",") if row.split()[_COLUMN] != "-"
}
"""By number: the calls on files and sockets."""

_BY_PATH: Final = "open stat lstat access truncate rename mkdir rmdir link unlink symlink readlink chmod"
_BY_FOLDER: Final = "openat mkdirat newfstatat unlinkat renameat readlinkat fchmodat faccessat renameat2 statx"
PATH_AT: Final[Mapping[str, int]] = {
    **dict.fromkeys(_BY_PATH.split(), 0),
    **dict.fromkeys(_BY_FOLDER.split(), 1),
}
"""Which argument of a call is a path; the first of the others is an open file."""
WITHOUT_OBJECT: Final = frozenset({"socket", "socketpair"})
SENDS: Final = frozenset({"sendto", "write"})

_PODMAN_BASE: Final = re.compile(r"^/v[0-9.]+/(libpod/)?")
_ID: Final = re.compile(r"\b[0-9a-f]{12,64}\b")
_SUBJECT_CHARS_MAX: Final = 40


def path_name(path: str, root: str) -> str:
    """A path, short: below the agent's state, the log that its output goes to, or as it is."""
    state = f"{root}/var/lib/fleet-agent/"
    if path.startswith(state):
        return path.removeprefix(state) or "."
    if path.endswith(".log"):
        return "log"
    return re.sub(r"\d+", "N", _ID.sub("ID", path.removeprefix(root) or "/"))


def request_name(peer: str, data: bytes) -> str:
    """What the first bytes that are sent to a peer ask for."""
    verb, _, rest = data.partition(b"\r\n")[0].decode(errors="replace").partition(" ")
    about = rest.partition(" ")[0]
    if peer == "podman":
        about = _PODMAN_BASE.sub("", about.partition("?")[0])
    elif about.startswith("_INBOX"):
        about = "_INBOX"
    return f"{verb} {_ID.sub('ID', about)[:_SUBJECT_CHARS_MAX]}".rstrip()
