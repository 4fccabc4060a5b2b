"""How a verdict looks on a terminal. Rich leaves colours out where there is none."""

from harness.history.records import VerdictOutcome
from reports.case import OUTCOME_WORDS

STYLES: dict[VerdictOutcome, str] = {
    "pass": "green",
    "fail": "bold red",
    "inconclusive": "yellow",
    "infra-error": "magenta",
}


def verdict_word(outcome: VerdictOutcome, *, width: int = 0) -> str:
    """The verdict in its colour, as rich markup."""
    return f"[{STYLES[outcome]}]{OUTCOME_WORDS[outcome]:<{width}}[/]"
