"""Run one short command for a probe: bounded, and gone when it is over, however this process ends.

run() -- stdin pipe --> guard.py -> the command        (one process group, killed at the deadline)
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.capability.model import Reason, Unavailable
from harness.services import procfs
from harness.toolchain import command

_GUARD: Final = Path(command.__file__).with_name("guard.py")
_KILL_S: Final = 5.0
_DETAIL_CHARS_MAX: Final = 200
KILLED: Final = 128 + signal.SIGKILL
"""Exit code of a command that SIGKILL ended."""

_SIGNS: Final = (
    (Reason.NOT_PERMITTED, ("operation not permitted", "permission denied", "must be root", "authentication")),
    (Reason.NOT_RUNNING, ("cannot connect to the docker daemon", "failed to connect socket", "connection refused")),
)
"""What programs say (in lower case, LC_ALL=C) when the cause is not their own."""


class Obstacle(Exception):  # noqa: N818 - not an error: the answer of a probe, on the short way out
    """The probe is over; `result` is its answer."""

    def __init__(self, result: Unavailable) -> None:
        super().__init__(str(result))
        self.result = result


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that ran to its end. `code` is its exit code, or 128 + the signal that ended it."""

    name: str
    code: int
    output: str
    """stdout and stderr together, stripped."""

    def refusal(self) -> Unavailable:
        """The answer of a probe for which this end is a failure; the reason is read from what the command said."""
        lines = self.output.splitlines()
        # The last line is the one that says why.
        why = lines[-1].strip()[:_DETAIL_CHARS_MAX] if lines else "it said nothing"
        return Unavailable(reason_of(self.output), f"{self.name} ended with exit code {self.code}: {why}")


def reason_of(said: str) -> Reason:
    """Why something failed, by what it said."""
    said = said.lower()
    return next((reason for reason, signs in _SIGNS if any(s in said for s in signs)), Reason.DOES_NOT_WORK)


def run(argv: Sequence[str], *, deadline_s: float) -> Ended:
    """Run a program of the PATH to its end.

    Raises:
        Obstacle: it is not there, could not be started, or met the deadline.
    """
    name = argv[0]
    program = shutil.which(name)
    if program is None:
        raise Obstacle(Unavailable(Reason.MISSING_PROGRAM, f"{name} is not on PATH"))
    # Not subprocess.PIPE: communicate() would close it at once, and the guard takes that for our end.
    guarded, held = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - argv is a probe's own, no shell
            [sys.executable, "-I", "-S", str(_GUARD), program, *argv[1:]],
            env={**os.environ, "LC_ALL": "C"},
            stdin=guarded,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        os.close(held)
        raise Obstacle(Unavailable(Reason.DOES_NOT_WORK, f"{name} could not start: {error.strerror}")) from error
    finally:
        os.close(guarded)
    try:
        with process:
            output = _read(process, name, deadline_s)
    finally:
        os.close(held)
    return Ended(name, process.returncode, output.strip())


def _read(process: subprocess.Popen[str], name: str, deadline_s: float) -> str:
    """All that it says, to its end; its group is gone when this raises."""
    try:
        return process.communicate(timeout=deadline_s)[0]
    except subprocess.TimeoutExpired as error:
        raise Obstacle(Unavailable(Reason.NO_ANSWER, f"{name} did not end within {deadline_s:g} s")) from error
    finally:
        if process.returncode is None:
            _end_group(process.pid)


def _end_group(group: int) -> None:
    """Kill all of it, and see it gone: a guest that KVM runs takes a moment to die."""
    deadline = time.monotonic() + _KILL_S
    while procfs.group_members(group) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        time.sleep(0.01)
