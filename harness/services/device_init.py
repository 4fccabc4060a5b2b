"""The first process of a device host: makes the machine, says so, and then reaps whoever loses a parent.

    device_init.py FOLDER NAME CGROUPS     (process 1 of a new process namespace; CGROUPS is JSON: kind, options,
                                            our group, where it is to stand)

    FOLDER/disk -> /var/lib/containers     FOLDER/etc -> /etc/containers     FOLDER/run -> /run

When it is killed the kernel kills all that runs here, and takes mounts and network away: a power cut.
Standard library only, and run by path: it has to start fast, and needs nothing of this project.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys
from pathlib import Path

READY = "the machine is up"
_HOST_NAME_CHARS_MAX = 64
_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x40000000
"""Mount, cgroup, host name, ipc, network."""
_BIND, _PRIVATE_ALL = 0x1000, 0x4000 | 0x40000
_SET_FLAGS, _UP = 0x8914, 0x1 | 0x40
_libc = ctypes.CDLL(None, use_errno=True)


def main(folder: Path, name: str, groups: list[tuple[str, str, str, str]]) -> None:
    # Entered first: the root of a cgroup namespace is where its first process was.
    for _, _, group, _ in groups:
        (Path(group) / "cgroup.procs").write_text("0")
    _check("unshare", _libc.unshare(_NAMESPACES))
    _mount("none", Path("/"), flags=_PRIVATE_ALL)
    _mount("proc", Path("/proc"), kind="proc")
    # A machine that boots has a new one.
    _mount(folder / "boot_id", Path("/proc/sys/kernel/random/boot_id"), flags=_BIND)
    # Version 1 stands in folders of this one, version 2 over it.
    _mount("tmpfs", Path("/sys/fs/cgroup"), kind="tmpfs")
    for kind, options, _, target in groups:
        Path(target).mkdir(exist_ok=True)
        _mount(kind, Path(target), kind=kind, options=options)
    _mount("tmpfs", Path("/dev/shm"), kind="tmpfs")  # noqa: S108 - podman keeps its locks there
    for inside, ours in (("/var/lib/containers", "disk"), ("/etc/containers", "etc"), ("/run", "run")):
        # Podman makes the first when it runs for the first time, wherever that is.
        Path(inside).mkdir(mode=0o700, parents=True, exist_ok=True)
        _mount(folder / ours, Path(inside), flags=_BIND)
    _leave_root_group(Path("/sys/fs/cgroup"))
    socket.sethostname(name[:_HOST_NAME_CHARS_MAX])
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))
    # Held back from now on, so that none is missed between a look and a wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    sys.stdout.write(f"{READY}\n")
    sys.stdout.flush()
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        signal.sigwait({signal.SIGCHLD})


def _leave_root_group(root: Path) -> None:
    """In version 2 a group that holds processes may not hand its controllers down."""
    if (root / "cgroup.controllers").exists():
        (root / "init").mkdir()
        (root / "init" / "cgroup.procs").write_text("0")


def _mount(source: Path | str, target: Path, *, kind: str | None = None, options: str = "", flags: int = 0) -> None:
    arguments = (os.fsencode(source), os.fsencode(target), None if kind is None else kind.encode())
    _check(f"mount {target}", _libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None))


def _check(call: str, result: int) -> None:
    if result != 0:
        sys.exit(f"{call}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))
