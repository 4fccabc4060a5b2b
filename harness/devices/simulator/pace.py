"""Rates: what is due by now. Pure."""


class Pace:
    """How many of something are due, at so many a second; after a standstill no more than one second's worth."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._at_s = now_s
        self._due = 0.0

    def due(self, now_s: float) -> int:
        self._due += min(now_s - self._at_s, 1.0) * self._per_s
        self._at_s = now_s
        whole = int(self._due)
        self._due -= whole
        return whole
