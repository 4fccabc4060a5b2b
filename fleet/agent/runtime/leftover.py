"""Processes of a container that its podman does not know of: it was killed while it started that container.

    podman --> conmon (holds the published ports) --> the OCI runtime --> the first process, not let go yet

Podman's record still says that nothing of it runs. So its next start finds its own ports taken, or the OCI runtime
refuses the id; neither ends before these processes do.
"""

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

_PROC = Path("/proc")
_ENDS_WITHIN_S = 1.0
_DEATH_TIMEOUT_S = 5.0


def processes(container_id: str) -> list[int]:
    """The conmon of this very container, not that of a command inside it, and all below it."""
    mark = (b"-c", container_id.encode(), b"-u", container_id.encode())
    parents = {pid: _parent(pid) for pid in _pids()}
    found = [pid for pid in parents if _is_conmon(pid, mark)]
    for pid in found:  # it grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def end(pids: Sequence[int]) -> bool:
    """Whether they had to be killed; on return they are dead: until then they keep mounts busy.

    Those of a start that failed while its podman lived end by themselves, a moment later.
    """
    with ExitStack() as held:
        handles = []
        for pid in pids:
            with suppress(ProcessLookupError):
                handles.append(handle := os.pidfd_open(pid))
                held.callback(os.close, handle)
        if _dead(handles, _ENDS_WITHIN_S):
            return False
        for handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        _dead(handles, _DEATH_TIMEOUT_S)
        return True


def _dead(handles: Sequence[int], within_s: float) -> bool:
    deadline_s = time.monotonic() + within_s
    for handle in handles:
        dead = select.poll()
        dead.register(handle, select.POLLIN)
        if not dead.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
            return False
    return True


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit())


def _is_conmon(pid: int, mark: tuple[bytes, ...]) -> bool:
    try:
        arguments = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    at = arguments.index(b"-c") if b"-c" in arguments else len(arguments)
    return arguments[0].endswith(b"conmon") and tuple(arguments[at : at + len(mark)]) == mark


def _parent(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0
