"""What a machine may be able to do, and the answers to the question whether it can: plain data, no I/O."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why something can't be used here: the type of a skip."""

    MISSING_PROGRAM = "missing-program"
    NOT_PERMITTED = "not-permitted"
    NOT_RUNNING = "not-running"
    NO_ANSWER = "no-answer"
    DOES_NOT_WORK = "does-not-work"
    NOT_ON_THIS_PLATFORM = "not-on-this-platform"


@dataclass(frozen=True, slots=True)
class Available:
    """It works. `detail` is one line: which version, where."""

    detail: str
    after_setup: bool = False
    """Not there yet, but the harness sets it up by itself on first use; `detail` says how long that takes."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """It was tried and did not work. `detail` is one line: what was tried and what was seen."""

    reason: Reason
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


ProbeResult = Available | Unavailable


@dataclass(frozen=True, slots=True)
class Capability:
    """One row of `fleetproof doctor`."""

    name: str
    """What a scenario asks for."""
    title: str
    """What a successful probe has proved, in a few words."""
    used_for: str
    enable: str
    """One line: the Debian package or the command that brings it."""
    probe: Callable[[], ProbeResult]
    """Tries it; ends within seconds and leaves nothing behind."""
