"""The brake on deletions that nobody asked for by name. Pure: every time is an argument.

An empty list, a restored backup, another cluster's kubeconfig: each makes a whole fleet look unwanted. A few orphans
are swept; many wait for a person, who approves exactly the set that was shown.
"""

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fleet.wire import Pair, desired_key

KEYS_FREE = 20
SHARE_FREE = 0.05
WINDOW_S = 60.0
_EXAMPLES_MAX = 10


@dataclass(frozen=True, slots=True)
class HeldSweep:
    """A sweep that waits for approval. `id` names exactly this set of keys."""

    id: str
    count: int
    examples: tuple[str, ...]
    reason: str


class Brake:
    """Lets orphans through a few at a time, and a set of them as a whole once its id is approved."""

    def __init__(self) -> None:
        self.held: HeldSweep | None = None
        self._approved: set[Pair] = set()
        # Let through without approval and not seen gone so far; and (when, how many) were seen gone.
        self._pending: set[Pair] = set()
        self._gone: deque[tuple[float, int]] = deque()
        self._last: tuple[Sequence[Pair], str] = ((), "")

    def release(
        self, orphans: Sequence[Pair], *, live_keys: int, empty: Sequence[str], approved: str | None, now_s: float
    ) -> list[Pair]:
        """Which of the `orphans` (sorted) may go now; the others wait in `held`.

        Args:
            orphans: every pair that the sweep would delete now.
            live_keys: how many live keys the bucket holds, the orphans among them.
            empty: kinds of which the API server lists none at all.
            approved: the id that an administrator has approved.
            now_s: monotonic time.
        """
        self._approved.intersection_update(orphans)
        gone = self._pending.difference(orphans)
        self._gone.append((now_s, len(gone)))
        self._pending -= gone
        waiting = [pair for pair in orphans if pair not in self._approved]
        reason = self._objection(len(waiting), live_keys, empty, now_s)
        if not waiting or reason is None:
            self.held = None
            self._pending.update(waiting)
            return list(orphans)
        sweep = HeldSweep(
            self._id(waiting), len(waiting), tuple(desired_key(p) for p in waiting[:_EXAMPLES_MAX]), reason
        )
        if sweep.id == approved:
            self._approved.update(waiting)
            self._pending.clear()
            self.held = None
            return list(orphans)
        self.held = sweep
        return [pair for pair in orphans if pair in self._approved]

    def _objection(self, count: int, live_keys: int, empty: Sequence[str], now_s: float) -> str | None:
        while self._gone[0][0] < now_s - WINDOW_S:
            self._gone.popleft()
        if empty and live_keys:
            return f"the API server lists no {' and no '.join(empty)} at all, and {live_keys} keys are stored"
        swept = sum(number for _, number in self._gone)
        limit = max(KEYS_FREE, int(live_keys * SHARE_FREE))
        if count + swept > limit:
            also = f" beside {swept} in the last minute" if swept else ""
            return f"{count} of {live_keys} keys would go{also}, and {limit} may without approval"
        return None

    def _id(self, pairs: Sequence[Pair]) -> str:
        if self._last[0] != pairs:
            digest = hashlib.sha256("\n".join(desired_key(pair) for pair in pairs).encode())
            self._last = (pairs, digest.hexdigest()[:12])
        return self._last[1]
