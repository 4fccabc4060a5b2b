"""The kernel's own interface to trace a process from outside, as far as following its system calls needs it.

    seize every thread -> [a thread stops before or after a call, at a signal, as a new thread] -> resume -> ...

Whoever traces has to do all of it in one thread. When that one ends, for whatever reason, the traced process runs on.
"""

import ctypes
import errno
import os
import signal
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SEIZE, _INTERRUPT, _SYSCALL, _LISTEN, _SYSCALL_INFO = 0x4206, 0x4207, 24, 0x4208, 0x420E
_SYSGOOD, _CLONE = 0x1, 0x8
_WALL: Final = 0x40000000
_EVENT_STOP: Final = 128
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_ENTRY: Final = 1
_GROUP_STOPS: Final = frozenset({signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
_PIDFD_GETFD: Final = 438

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class _Info(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("arch", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("args", ctypes.c_uint64 * 6),
        ("rest", ctypes.c_uint64 * 2),
    )


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that a thread is about to make."""

    thread: int
    number: int
    args: tuple[int, ...]


class Traced:
    """A running process of which every thread stops before each of its system calls. Raises OSError throughout."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        # The thread whose call was returned last.
        self._stopped: int | None = None
        self._seize_all()

    def next_call(self) -> Call | None:
        """The next one of any thread, which waits until this is called again. None once the process has ended."""
        if self._stopped is not None:
            self._resume(self._stopped)
            self._stopped = None
        while True:
            try:
                thread, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return None
            if not os.WIFSTOPPED(status):
                continue
            stop, event = os.WSTOPSIG(status), status >> 16
            if stop == _SYSCALL_STOP:
                call = self._entered(thread)
                if call is not None:
                    self._stopped = thread
                    return call
                self._resume(thread)
            elif event == _EVENT_STOP and stop in _GROUP_STOPS:
                _ptrace(_LISTEN, thread, 0, 0, gone=True)
            else:
                self._resume(thread, 0 if event else stop)

    def kill(self) -> None:
        """The call that was returned last is never made."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def text(self, address: int, bytes_max: int) -> bytes:
        """What its memory holds there; less, if less of it is mapped."""
        with Path(f"/proc/{self.pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(address)
            try:
                return memory.read(bytes_max)
            except OSError:
                memory.seek(address)
                # To the end of the page.
                return memory.read(min(bytes_max, 4096 - address % 4096))

    def duplicate(self, descriptor: int) -> int:
        """Of one of its open files, for the caller to close."""
        ours: int = _libc.syscall(_PIDFD_GETFD, self._pidfd, descriptor, 0)
        if ours < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return ours

    def _seize_all(self) -> None:
        """Until a look shows no thread that is not ours: one that is ours hands its children over."""
        seized: set[int] = set()
        while new := {int(task.name) for task in Path(f"/proc/{self.pid}/task").iterdir()} - seized:
            for thread in new:
                # The child of one that is ours is ours already, and may not be seized again.
                with suppress(PermissionError) if seized else nullcontext():
                    _ptrace(_SEIZE, thread, 0, _SYSGOOD | _CLONE, gone=True)
                    _ptrace(_INTERRUPT, thread, 0, 0, gone=True)
            seized |= new

    @staticmethod
    def _resume(thread: int, number: int = 0) -> None:
        """`number` is of the signal that it is to get, if any."""
        _ptrace(_SYSCALL, thread, 0, number, gone=True)

    @staticmethod
    def _entered(thread: int) -> Call | None:
        info = _Info()
        size = ctypes.sizeof(info)
        _ptrace(_SYSCALL_INFO, thread, size, ctypes.addressof(info), gone=True)
        return Call(thread, info.number, tuple(info.args)) if info.op == _ENTRY else None


def _ptrace(request: int, thread: int, address: int, data: int, *, gone: bool = False) -> None:
    """`gone`: a thread that has ended meanwhile is no error."""
    if _libc.ptrace(request, thread, address, data) < 0:
        number = ctypes.get_errno()
        if not (gone and number == errno.ESRCH):
            raise OSError(number, os.strerror(number))
