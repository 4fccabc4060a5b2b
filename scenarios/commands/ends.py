"""How a command ends: its exit codes, and one line on stderr for what ended it before its verdict."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import click

from harness.errors import HarnessError, Mismatch
from harness.history import VerdictOutcome

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNDECIDED = 3
EXIT_INTERRUPTED = 130


def fail(text: str, code: int = EXIT_BAD_INPUT) -> NoReturn:
    """End with one line, as a rule about what a person can mend."""
    click.echo(f"fleetproof: {text}", err=True)
    sys.exit(code)


def end_by(verdict: VerdictOutcome) -> NoReturn:
    codes: dict[VerdictOutcome, int] = {"pass": 0, "fail": EXIT_FAILED}
    sys.exit(codes.get(verdict, EXIT_UNDECIDED))


class Commands(click.Group):
    """A group of commands that all end like this."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        with _one_line():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        signal.signal(signal.SIGTERM, _interrupt)
        # Ignored where a shell started us in the background, and then SIGTERM would be, too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with _one_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """What a person can mend or asked for ends the process with one line, not with usage or a traceback."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as e:
        path = e.ctx.command_path if e.ctx is not None else "fleetproof"
        fail(f"{' '.join(e.format_message().split()).removesuffix('.')}; see `{path} --help`")
    except Mismatch as e:
        fail(str(e), EXIT_FAILED)
    except HarnessError as e:
        fail(str(e))
    except KeyboardInterrupt:
        # Nothing is started any more; and Python takes its handlers away before it ends.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        fail("interrupted; everything that was started is gone", EXIT_INTERRUPTED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a command as Ctrl-C does: whoever handles that one (asyncio, pytest) cleans up.

    Only the first does: `timeout` and shells send it to the process and then to its group, and the second one would
    break into the cleaning up. Ctrl-C again still does, since a person wants it.
    """
    # Not SIG_IGN, which everything that is started from now on would inherit.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.raise_signal(signal.SIGINT)
