"""How long to wait before the next attempt at a peer that is in trouble. Pure, apart from the dice.

Full jitter, so that many watchers do not come back in step. Only an attempt that held for a while counts as success: a
peer that accepts and then fails at once is asked as seldom as one that refuses.
"""

import random

_DELAY_S_MIN = 0.1
_DELAY_S_MAX = 5.0
_STEADY_S = 5.0


class Backoff:
    """One loop's attempts."""

    def __init__(self) -> None:
        self._ceiling_s = _DELAY_S_MIN

    def delay_s(self, *, lasted_s: float) -> float:
        """The wait after an attempt that failed `lasted_s` after it began."""
        steady = lasted_s >= _STEADY_S
        self._ceiling_s = 2 * _DELAY_S_MIN if steady else min(2 * self._ceiling_s, _DELAY_S_MAX)
        return random.uniform(0, self._ceiling_s)  # noqa: S311 - spreads load, guards nothing
