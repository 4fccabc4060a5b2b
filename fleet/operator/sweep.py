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
        # Held for what looked like another world: that fewer are left makes it no better. A wait for the minute to pass
        # is none of this.
        self._waited: set[Pair] = set()
        self._last: tuple[Sequence[Pair], str] = ((), "")

    def release(
        self,
        orphans: Sequence[Pair],
        *,
        live_keys: int,
        empty: Sequence[str],
        approved: str | None,
        now_s: float,
        going: Sequence[str] = (),
    ) -> list[Pair]:
        """Which of the `orphans` (sorted) may go now; the others wait in `held`.

        Args:
            orphans: every pair that the sweep would delete now.
            live_keys: how many live keys the bucket holds, the orphans among them.
            empty: kinds of which the API server lists none at all.
            approved: the id that an administrator has approved.
            now_s: monotonic time.
            going: resources whose definition is being deleted: then no yes lets anything through.
        """
        self._approved.intersection_update(orphans)
        gone = self._pending.difference(orphans)
        self._gone.append((now_s, len(gone)))
        self._pending -= gone
        if going:
            self._approved.clear()
            approved = None
        waiting = [pair for pair in orphans if pair not in self._approved]
        self._waited.intersection_update(waiting)
        hurry = self._hurry(len(waiting), live_keys, now_s)
        reason = self._wrong_world(len(waiting), live_keys, empty, going)
        if reason is not None:
            self._waited.update(waiting)
        reason = reason or hurry
        if not waiting or reason is None:
            self.held = None
            self._pending.update(waiting)
            return list(orphans)
        sweep = HeldSweep(
            self._id(waiting), len(waiting), tuple(desired_key(p) for p in waiting[:_EXAMPLES_MAX]), reason
        )
        if sweep.id == approved:
            self._approved.update(waiting)
            self._waited.clear()
            self._pending.clear()
            self.held = None
            return list(orphans)
        self.held = sweep
        return [pair for pair in orphans if pair in self._approved]

    def _wrong_world(self, count: int, live_keys: int, empty: Sequence[str], going: Sequence[str]) -> str | None:
        """What speaks for a world that is not the fleet's."""
        if going:
            return f"the definition of {' and of '.join(going)} is being deleted, and {live_keys} keys are stored"
        if empty and live_keys:
            return f"the API server lists no {' and no '.join(empty)} at all, and {live_keys} keys are stored"
        limit = _free(live_keys)
        if count > limit:
            return f"{count} of {live_keys} keys would go, and {limit} may without approval"
        if self._waited:
            return f"{count} of {live_keys} keys would go, and {len(self._waited)} of them waited when more were to go"
        return None

    def _hurry(self, count: int, live_keys: int, now_s: float) -> str | None:
        """Too many in one minute: it passes with the minute."""
        while self._gone[0][0] < now_s - WINDOW_S:
            self._gone.popleft()
        swept, limit = sum(number for _, number in self._gone), _free(live_keys)
        if count + swept <= limit:
            return None
        return (
            f"{count} of {live_keys} keys would go beside {swept} in the last minute, and {limit} may without approval"
        )

    def _id(self, pairs: Sequence[Pair]) -> str:
        if self._last[0] != pairs:
            digest = hashlib.sha256("\n".join(desired_key(pair) for pair in pairs).encode())
            self._last = (pairs, digest.hexdigest()[:12])
        return self._last[1]


def _free(live_keys: int) -> int:
    """How many keys may go without approval."""
    return max(KEYS_FREE, int(live_keys * SHARE_FREE))
