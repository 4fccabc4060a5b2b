"""Builds take minutes and `go build` is silent, so each step says what it does and for how long.

A `Progress` is called from the thread that waits, about once a second. The default writes to stderr: one live line on
a terminal, elsewhere a line at each new phase and every ten seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.status import Status

_LINE_EVERY_S: Final = 10.0


class Stage(StrEnum):
    """Where one program's provision stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """One report: the program, what is being done, a count where there is one, seconds since the phase began."""

    tool: str
    phase: str
    detail: str
    elapsed_s: float
    stage: Stage = Stage.RUNNING


Progress = Callable[[Step], None]


def _text(step: Step) -> str:
    detail = f": {step.detail}" if step.detail else ""
    return f"{step.tool}: {step.phase}{detail} ({step.elapsed_s:.0f} s)"


@dataclass(slots=True)
class ConsoleProgress:
    """Writes steps for a person, to stderr unless another console is given."""

    console: Console = field(default_factory=lambda: Console(stderr=True, highlight=False, soft_wrap=True))
    _live: Status | None = None
    _last: Step | None = None

    def __call__(self, step: Step) -> None:
        """Show one step."""
        if step.stage is not Stage.RUNNING:
            self._close()
            self.console.print(escape(_text(step)))
        elif self.console.is_terminal:
            if self._live is None:
                self._live = self.console.status("")
                self._live.start()
            self._live.update(escape(_text(step)))
        elif self._due(step):
            self._last = step
            self.console.print(escape(_text(step)))

    def _due(self, step: Step) -> bool:
        last = self._last
        return (
            last is None
            or (last.tool, last.phase) != (step.tool, step.phase)
            or step.elapsed_s - last.elapsed_s >= _LINE_EVERY_S
        )

    def _close(self) -> None:
        self._last = None
        if self._live is not None:
            self._live.stop()
            self._live = None
