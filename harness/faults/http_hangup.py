"""The connection ends before an answer begins, as with a server that goes down under its clients.

Unlike a link that is cut it lets each attempt be seen, so the history can tell how often the product tries.
"""

from harness.faults.http_fault import HttpFault
from harness.faults.http_point import HttpPoint, Scope, Seen
from harness.services.gate_ways import HangUp


class HttpHangUp(HttpFault):
    """Requests get no answer, and lose their connection."""

    def __init__(self, point: HttpPoint, scope: Scope, *, first: int | None = None) -> None:
        super().__init__(point, scope, HangUp(), "http-hang-up", first=first)

    def bites(self, seen: Seen) -> bool:
        return seen.ended == "no-answer"
