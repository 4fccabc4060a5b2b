"""How a verdict looks on a terminal. Rich leaves colours out where there is none."""

import sys

from rich.console import Console

from harness.history.records import VerdictOutcome
from reports.case import OUTCOME_WORDS

STYLES: dict[VerdictOutcome, str] = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "infra-error": "magenta",
}


# Where nobody sets a width (a pipe, a CI log), tables get this one; lines are never wrapped.
_WIDTH_CHARS = 160


def make_console(*, stderr: bool) -> Console:
    """For people: on stderr when stdout is for a machine."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(stderr=stderr, soft_wrap=True, highlight=False, width=None if stream.isatty() else _WIDTH_CHARS)


def verdict_word(outcome: VerdictOutcome, *, width: int = 0) -> str:
    """The verdict in its colour, as rich markup."""
    return f"[{STYLES[outcome]}]{OUTCOME_WORDS[outcome]:<{width}}[/]"
