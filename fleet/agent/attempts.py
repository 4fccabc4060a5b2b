"""How often something that fails is tried again: pauses that grow, are bounded, and are forgotten. Pure.

Times are seconds of a monotonic clock; the dice (0 to 1) are handed in.
"""

from dataclasses import dataclass, replace

from fleet.agent.model import Failure

PAUSE_S_MAX = 300.0
STEADY_S = 60.0
"""What ran for so long is no longer failing: its next end is its first."""

_DOUBLINGS_MAX = 16


@dataclass(frozen=True, slots=True)
class Attempts:
    """The tries at one thing, named by `what`: a digest that is to run, or the id of a container that is to go."""

    what: str = ""
    failures: int = 0
    failure: Failure | None = None
    """Of the last try, None while that is not known."""
    not_before_s: float = 0.0
    """No try before this time."""
    running_since_s: float | None = None

    def at(self, what: str) -> "Attempts":
        """These if they are at `what`, else none so far."""
        return self if self.what == what else Attempts(what)

    def paused(self, now_s: float) -> bool:
        return now_s < self.not_before_s

    def ran(self, now_s: float) -> "Attempts":
        """It was started, or was seen to run. How often it failed before is not yet forgotten."""
        return self if self.running_since_s is not None else replace(self, failure=None, running_since_s=now_s)

    def failed(self, failure: Failure, now_s: float, dice: float) -> "Attempts":
        """It failed, or ended. The pause is 1, 2, 4 ... 300 s, of which the dice take off up to a half."""
        steady = self.running_since_s is not None and now_s - self.running_since_s >= STEADY_S
        failures = 1 if steady else self.failures + 1
        pause_s = min(2.0 ** min(failures - 1, _DOUBLINGS_MAX), PAUSE_S_MAX) * (1 - dice / 2)
        return Attempts(self.what, failures, failure, now_s + pause_s)
