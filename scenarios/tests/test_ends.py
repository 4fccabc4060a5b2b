"""What ends a command before its verdict is one line, and a code that says whose turn it is."""

import signal
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from harness.errors import Mismatch, ServiceError
from scenarios.commands.ends import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, Commands

CLEARED = "fleetproof: interrupted; everything that was started is gone"


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """A command takes the process's signals for its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ServiceError("nats: no such file"), EXIT_BAD_INPUT, "fleetproof: nats: no such file"),
        (Mismatch("two counts"), EXIT_FAILED, "fleetproof: two counts"),
        (
            click.UsageError("No such option."),
            EXIT_BAD_INPUT,
            "fleetproof: No such option; see `fleetproof fails --help`",
        ),
        (KeyboardInterrupt(), EXIT_INTERRUPTED, CLEARED),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_one_line_and_a_code(error: BaseException, code: int, line: str) -> None:
    """Whatever was raised; nothing of it on stdout."""

    @click.group("fleetproof", cls=Commands)
    def commands() -> None:
        pass

    @commands.command("fails")
    def fails() -> None:
        raise error

    ended = CliRunner().invoke(commands, ["fails"])
    assert (ended.exit_code, ended.stderr.splitlines(), ended.stdout) == (code, [line], "")


def test_only_the_first_sigterm_ends_a_command() -> None:
    """What comes while it cleans up does not break into that."""
    cleaned = []

    @click.group("fleetproof", cls=Commands)
    def commands() -> None:
        pass

    @commands.command("works")
    def works() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            cleaned.append(True)

    ended = CliRunner().invoke(commands, ["works"])
    assert (ended.exit_code, ended.stderr.splitlines(), cleaned) == (EXIT_INTERRUPTED, [CLEARED], [True])
