"""What the faults of HTTP requests have in common: trouble at the gate, looked at by a request of our own."""

from abc import abstractmethod

import msgspec

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.faults.http_point import ANSWER_WITHIN_S, HttpPoint, Scope, Seen
from harness.services.gate import Trouble
from harness.services.gate_ways import Way

# What the API server itself says to our requests: an object that is not there is not there.
_SOUND = frozenset({200, 404})


class HttpFault(Fault):
    """Requests of a scope go wrong in one way: all of them until it is healed, or only the `first` so many.

    `look_s` is how long its own request may take before it is proved to have gone wrong.
    """

    look_s = ANSWER_WITHIN_S

    def __init__(self, point: HttpPoint, scope: Scope, way: Way, name: str, *, first: int | None = None) -> None:
        self.name = name
        self.target = f"{scope.rule.name} requests"
        self._point = point
        self._scope = scope
        self._way = way
        self._first = first
        self._trouble: Trouble | None = None

    @abstractmethod
    def bites(self, seen: Seen) -> bool:
        """Whether this is what a request comes to while the fault is active."""

    async def apply(self) -> None:
        self._trouble = self._point.gate.trouble(self._scope.rule, self._way, first=self._first)

    async def prove_active(self) -> str:
        seen = await self._point.ask(self._scope, within_s=self.look_s)
        if not self.bites(seen):
            raise ServiceError(f"{self.name}: our own request came to {seen.words}")
        return f"our own request: {seen.words}"

    async def heal(self) -> None:
        if self._trouble is not None:
            self._trouble.end()

    async def prove_healed(self) -> str:
        seen = await self._point.ask(self._scope, within_s=self.look_s)
        if self.bites(seen):
            raise ServiceError(f"{self.name}: our own request still came to {seen.words}")
        return sound(seen)

    async def close(self) -> None:
        if self._trouble is not None:
            self._trouble.end()


def sound(seen: Seen) -> str:
    """What was seen, in words. Raises ServiceError unless it is a whole answer of the API server."""
    if seen.ended != "whole" or seen.status not in _SOUND or not _is_json(seen.body):
        raise ServiceError(f"our own request came to {seen.words}")
    return f"our own request: {seen.words}"


def _is_json(body: bytes) -> bool:
    """One document, or one on each line as in a watch."""
    try:
        msgspec.json.decode(b"[" + body.strip().replace(b"\n", b",") + b"]")
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
