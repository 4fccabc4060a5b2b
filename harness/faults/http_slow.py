"""The answer begins at once, and then comes in drops."""

from harness.faults.http_fault import HttpFault
from harness.faults.http_point import HttpPoint, Scope, Seen
from harness.services.gate_ways import Drip

# Two drops more than there is time for: one at the beginning, one for a clock that is late.
_DROPS_MORE = 2
_DROPS_PER_S = 10


class HttpSlow(HttpFault):
    """Bodies of answers come with so many bytes a second; what is under way at the heal comes at once."""

    look_s = 1.5

    def __init__(self, point: HttpPoint, scope: Scope, bytes_per_s: int, *, first: int | None = None) -> None:
        super().__init__(point, scope, Drip(bytes_per_s), "http-slow", first=first)
        self._bytes_per_s = bytes_per_s

    def bites(self, seen: Seen) -> bool:
        most = self._bytes_per_s * (seen.took_s + _DROPS_MORE / _DROPS_PER_S)
        return seen.ended == "late" and seen.status != 0 and len(seen.body) <= most
