"""Writes on their way: a key that was written is not decided again before the world showed the write. Pure.

A write that succeeded at its fence replaced what we had seen last, so any news of that key that came after the write
began is that write or something later. Nothing here compares revisions or versions, which are opaque.
"""

from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Echoes(Generic[K]):
    """Keys whose write has begun and whose echo has not come back."""

    def __init__(self) -> None:
        # Per key: has news come since the write began, has the write been acknowledged.
        self._heard: dict[K, bool] = {}
        self._acknowledged: set[K] = set()

    def __contains__(self, key: K) -> bool:
        return key in self._heard

    def __len__(self) -> int:
        return len(self._heard)

    def began(self, key: K) -> None:
        self._heard[key] = False

    def acknowledged(self, key: K) -> bool:
        """The write took effect. True if the key is free again because its echo was faster."""
        if self._heard.get(key, True):
            self.forget(key)
            return True
        self._acknowledged.add(key)
        return False

    def heard(self, key: K) -> bool:
        """News of the key came from the world. True if that frees it."""
        if key not in self._heard:
            return False
        self._heard[key] = True
        if key in self._acknowledged:
            self.forget(key)
            return True
        return False

    def forget(self, key: K) -> None:
        """The write failed or its outcome is unknown: its fence makes another attempt safe."""
        self._heard.pop(key, None)
        self._acknowledged.discard(key)

    def restarted(self) -> set[K]:
        """The source is replayed from the start and may have lost the writes: nothing waits any longer. Those keys."""
        waiting = set(self._heard)
        self._heard.clear()
        self._acknowledged.clear()
        return waiting
