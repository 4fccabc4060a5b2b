"""Run a long command with progress and a deadline, and leave none of its processes behind.

    run() -- stdin pipe --> guard.py -> go -> compile, link ...      (one process group)

Ctrl-C, SIGTERM and the deadline kill the group from here; if this process dies, the guard does it.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Final, TypeAlias

_Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None

_GUARD: Final = Path(__file__).with_name("guard.py")
_TICK_S: Final = 1.0
_OBEY_S: Final = 0.1
_KILL_S: Final = 10.0
_TAIL_LINES: Final = 400


class CommandFailed(Exception):  # noqa: N818 - names a state, as in `except CommandFailed`
    """The command could not start, did not end with 0, or met its deadline. `tail` has its last lines of output."""

    def __init__(self, reason: str, tail: Sequence[str]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.tail = tuple(tail)


def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    deadline_s: float,
    on_line: Callable[[str], None],
    on_tick: Callable[[float], None],
) -> None:
    """Run `argv` to its end; stdout and stderr together go to `on_line`, seconds since the start to `on_tick`.

    `on_line` is called from a thread of its own, `on_tick` from the caller's.

    Raises:
        CommandFailed: see there.
    """
    tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def keep(line: str) -> None:
        tail.append(line)
        on_line(line)

    start_s = time.monotonic()
    with _signals_held_back() as obey, _group(argv, cwd, environ, keep) as process:
        next_tick_s = 0.0
        while process.returncode is None:
            obey()
            elapsed_s = time.monotonic() - start_s
            if elapsed_s >= next_tick_s:
                on_tick(elapsed_s)
                next_tick_s = elapsed_s + _TICK_S
            if elapsed_s > deadline_s:
                raise CommandFailed(f"no end after {deadline_s:.0f} s", tail)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_OBEY_S)
        code = process.returncode
    if code != 0:
        raise CommandFailed(f"exit code {code}", tail)


@contextlib.contextmanager
def _group(
    argv: Sequence[str], cwd: Path, environ: Mapping[str, str], on_line: Callable[[str], None]
) -> Iterator[subprocess.Popen[str]]:
    """The command under its guard, in a process group that is gone, and read to its end, when the block ends."""
    try:
        process = subprocess.Popen(  # noqa: S603 - argv is the toolchain's own, no shell
            [sys.executable, "-I", "-S", str(_GUARD), *argv],
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(f"could not start: {error.strerror}", ()) from error
    reader = threading.Thread(target=_pump, args=(process.stdout, on_line), daemon=True)
    reader.start()
    try:
        yield process
    finally:
        if process.returncode != 0:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=_KILL_S)
        reader.join(timeout=_KILL_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _pump(output: IO[str], on_line: Callable[[str], None]) -> None:
    for line in output:
        on_line(line.rstrip())


@contextlib.contextmanager
def _signals_held_back() -> Iterator[Callable[[], None]]:
    """Ctrl-C and SIGTERM do what they do where the function given is called, and SIGTERM leaves by `finally` too.

    What a handler raises in the middle of `Popen` loses the child, or leaves a lock that each later `wait` runs into.
    """
    came: deque[int] = deque()
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
    found: dict[int, _Handler] = {number: signal.getsignal(number) for number in numbers}
    handlers = {number: handler for number, handler in found.items() if handler not in (signal.SIG_IGN, None)}

    def hold(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    def obey() -> None:
        while came:
            number = came.popleft()
            handler = handlers[number]
            if callable(handler):
                handler(number, None)
            else:
                raise SystemExit(128 + number)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield obey
    finally:
        for number, handler in handlers.items():
            # A handler may have put another one into its place.
            if signal.getsignal(number) is hold:
                signal.signal(number, handler)
        obey()
