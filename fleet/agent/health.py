"""What a series of health checks says about a container. Pure: running the check is the worker's.

It decides what is reported, never whether a container is stopped or made anew.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Health:
    """Of one run of one container: it starts anew when the container does. `words` are those of the last failure."""

    verdict: Verdict = Verdict.UNKNOWN
    failures: int = 0
    """In a row."""
    words: str = ""

    def passed(self) -> "Health":
        return Health(Verdict.HEALTHY)

    def failed(self, words: str, *, retries: int) -> "Health":
        """`retries` failures in a row make it unhealthy; until then it is what it was."""
        failures = self.failures + 1
        return Health(Verdict.UNHEALTHY if failures >= retries else self.verdict, failures, words)
