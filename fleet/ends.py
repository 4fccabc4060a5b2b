"""How a command of the product ends: its exit code, and one line on stderr for what ended it.

0 done or stopped in good order, 2 bad input, 3 a peer refused or is not there, 70 a crash.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from fleet.errors import ArtifactError, FleetError, SettingsError, WireError, crash_line

EXIT_BAD_INPUT = 2
EXIT_PEER = 3
EXIT_CRASH = 70


def fail(program: str, error: FleetError) -> NoReturn:
    click.echo(f"{program}: {error}", err=True)
    sys.exit(EXIT_BAD_INPUT if isinstance(error, SettingsError | WireError | ArtifactError) else EXIT_PEER)


@contextmanager
def one_line(program: str) -> Iterator[None]:
    """What a process of ours raises ends it: an error that explains itself, or a crash."""
    try:
        yield
    except FleetError as e:
        fail(program, e)
    except Exception as e:  # noqa: BLE001 - the last line of the log says why the process is gone
        if not isinstance(e, ExceptionGroup):
            # What crashed in a loop was logged there.
            from fleet.logs import get_logger  # noqa: PLC0415 - `--version` and `--help` do without

            get_logger("cli").critical("crashed", reason=crash_line(e), exc_info=e)
        click.echo(f"{program}: crashed: {crash_line(e)}", err=True)
        sys.exit(EXIT_CRASH)
