"""Estates on disk: how a run finds out what an earlier one left, whose harness and perhaps whose warden were killed.

    harness: STATE/estates/<token>.jsonl, locked by its warden --- ends in order ---> removed
                   |  harness killed                     |  both killed
                   v                                     v
     warden settles it, adds ["settled", words]    the file stays as it was, unlocked
                   '------------- the next run ----------'
                      settles what is left, tells it, removes the file

Standard library only: the warden's process uses it, and has to start fast.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from harness.services import procfs
from harness.services.estate import Estate, Settled

STATE_VARIABLE = "XDG_STATE_HOME"
SIZE_BYTES_MAX = 64 * 1024 * 1024
# Longer than a warden takes for its work.
WARDEN_WITHIN_S = 15.0
_BETWEEN_LOOKS_S = 0.02
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def folder(environ: Mapping[str, str]) -> Path:
    """Where estates stand; only their owner may look in."""
    return Path(environ.get(STATE_VARIABLE) or Path.home() / ".local" / "state") / "fleetproof" / "estates"


class EstateFile:
    """The harness's: what it tells its warden stands there first. Nobody stops for a line that cannot be written.

    Its lock is shared with the warden, which inherits the open file (`shared`), and ends with the last of the two.
    """

    def __init__(self, environ: Mapping[str, str], token: str) -> None:
        self.path = folder(environ) / f"{token}.jsonl"
        self._file: IO[bytes] | None = None
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Both append: the harness what it owns, the warden how it ended.
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb")
            fcntl.flock(self._file, fcntl.LOCK_EX)
        state = procfs.process_state(os.getpid())
        who = ["harness", os.getpid(), state.start_ticks if state else 0, _boot_id()]
        self.add(*who, time.strftime("%Y-%m-%d %H:%M:%S"))

    @property
    def shared(self) -> tuple[int, ...]:
        """The descriptor that the warden is to inherit; none if there is no file."""
        return () if self._file is None else (self._file.fileno(),)

    def add(self, *message: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.write(json.dumps(message).encode() + b"\n")
                self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def ended(path: Path, shared: Sequence[int], settled: Settled) -> None:
    """The warden's last word. After a kill the file stays, for the next run to tell what was taken away."""
    with contextlib.suppress(OSError):
        if settled.nothing:
            path.unlink()
        for descriptor in shared:
            os.write(descriptor, json.dumps(["settled", str(settled)]).encode() + b"\n")


def clear_left_overs(environ: Mapping[str, str]) -> Iterator[str]:
    """Settle the estates of harnesses that were killed; one line for each, once. Others' runs are left alone."""
    with contextlib.suppress(OSError):
        for path in sorted(folder(environ).glob("*.jsonl")):
            told = _clear(path)
            if told is not None:
                yield told


def _clear(path: Path) -> str | None:
    with contextlib.suppress(OSError), path.open("rb") as file:
        who = _harness(file.readline())
        if who is None or _alive(who):
            return None
        if not _locked(file):
            return f"an earlier run (pid {who[0]}) was killed, and its warden does not end: {path}"
        # Read only now: the warden may have been at work, or another run that began at the same time.
        if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            return None
        told = _settle(path.stem, who, file.read(SIZE_BYTES_MAX))
        path.unlink()
        return told
    return None


_Who = tuple[int, int, str, str]


def _settle(token: str, who: _Who, data: bytes) -> str:
    estate = Estate(token, same_boot=who[2] == _boot_id())
    by_warden = None
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            match json.loads(line):
                case ["settled", str(words)]:
                    by_warden = words
                case _:
                    estate.apply(line)
    now = estate.settle()
    run = f"an earlier run (pid {who[0]}, {who[3]}) was killed"
    if by_warden is None:
        return f"{run} together with its warden; cleared now: {now}"
    more = "" if now.nothing else f", and now: {now}"
    return f"{run}; its warden cleared {by_warden}{more}"


def _harness(line: bytes) -> _Who | None:
    with contextlib.suppress(ValueError):
        match json.loads(line):
            case ["harness", int(pid), int(start_ticks), str(boot_id), str(began)]:
                return pid, start_ticks, boot_id, began
    return None


def _alive(who: _Who) -> bool:
    state = procfs.process_state(who[0])
    return who[2] == _boot_id() and state is not None and state.start_ticks == who[1] and state.alive


def _locked(file: IO[bytes]) -> bool:
    """Wait for its warden, which is at work if it lives."""
    deadline = time.monotonic() + WARDEN_WITHIN_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_BETWEEN_LOOKS_S)
        else:
            return True


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
