"""One request stands still on its way to the API server: neither there nor refused, until it is healed."""

from collections.abc import Awaitable, Callable

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.faults.http_point import HttpPoint, Scope
from harness.services.gate import Held

REACHED_WITHIN_S = 20.0


class HttpHold(Fault):
    """Holds the `ordinal`-th request of the product, counted from when it is applied. Healing lets it go, or drops it.

    It is active when that request has come; `provoke` makes the product send it, if nothing else does.
    """

    def __init__(
        self,
        point: HttpPoint,
        scope: Scope,
        ordinal: int = 1,
        *,
        drop: bool = False,
        provoke: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.name = "http-hold"
        self.target = f"{scope.rule.name} request {ordinal}"
        self._gate = point.gate
        self._rule = scope.rule
        self._ordinal = ordinal
        self._drop = drop
        self._provoke = provoke
        self._held: Held | None = None

    async def apply(self) -> None:
        self._held = self._gate.hold(self._rule, self._gate.count(self._rule) + self._ordinal)

    async def prove_active(self) -> str:
        if self._held is None:
            raise ServiceError(f"{self.target}: nothing was to be held")
        if self._provoke is not None:
            await self._provoke()
        await self._held.reached(REACHED_WITHIN_S)
        return f"{self._held.method} {self._held.path} is held"

    async def heal(self) -> None:
        if self._held is None:
            return
        if not self._held.came:
            self._gate.disarm(self._rule)
        elif self._drop:
            self._held.drop()
        else:
            self._held.release()

    async def prove_healed(self) -> str:
        if self._held is None or self._held.decided is None:
            raise ServiceError(f"{self.target}: nothing was held that could go on")
        return f"the request was {self._held.decided}"
