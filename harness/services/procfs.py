"""What /proc knows of processes: enough to tell one process from a later one that got its number.

Standard library only, and no event loop: the warden's process uses it too.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
_EXITING = 0x4
"""PF_EXITING, of a process's flags."""


class ProcessState(NamedTuple):
    """From /proc/PID/stat. `start_ticks` counts clock ticks since boot; with the pid it is an identity."""

    pid: int
    state: str
    group: int
    start_ticks: int
    exiting: bool = False

    @property
    def alive(self) -> bool:
        """Whether it can still do something: a zombie cannot, nor can one that the kernel is ending.

        The first process of a namespace is that until all others there were reaped, whoever is to do that.
        """
        return self.state not in "ZX" and not self.exiting


def process_state(pid: int) -> ProcessState | None:
    """None if there is no such process."""
    try:
        text = (PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    # The name in parentheses may hold spaces and parentheses itself: count from the last one.
    fields = text[text.rindex(")") + 2 :].split()
    return ProcessState(
        pid=pid,
        state=fields[0],
        group=int(fields[2]),
        start_ticks=int(fields[19]),
        exiting=bool(int(fields[6]) & _EXITING),
    )


def processes() -> Iterator[ProcessState]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (state := process_state(int(entry.name))) is not None:
            yield state


def group_members(group: int) -> list[ProcessState]:
    """The live members of a process group."""
    return [state for state in processes() if state.group == group and state.alive]


def with_environment(entry: str) -> list[ProcessState]:
    """Live processes of this user that were started with `NAME=value` in their environment."""
    wanted = entry.encode()
    found = []
    for state in processes():
        try:
            environment = (PROC / str(state.pid) / "environ").read_bytes()
        except OSError:
            # Gone meanwhile, or another user's.
            continue
        if state.alive and wanted in environment.split(b"\0"):
            found.append(state)
    return found


def kill(target: ProcessState) -> bool:
    """SIGKILL that very process and, if it leads one, its group. False if it is gone or its number was reused."""
    try:
        pidfd = os.pidfd_open(target.pid)
    except OSError:
        return False
    try:
        now = process_state(target.pid)
        # Read after the pidfd was opened: if both agree, the pidfd is the process we mean.
        if now is None or now.start_ticks != target.start_ticks:
            return False
        if now.group == target.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(target.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    finally:
        os.close(pidfd)
    return True
