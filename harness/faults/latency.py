"""A slow link: every answer of the broker takes longer on its way to the operator."""

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.nats_probe import greeting_s
from harness.services.toxiproxy import Proxy
from harness.wait import wait_for

_GREETING_WITHIN_S = 5.0
# A greeting over an undisturbed loopback link comes much faster than half of any latency worth injecting.
_HEALED_SHARE_MAX = 0.5


class Latency(Fault):
    """Latency on one link, in the direction from the server to its client."""

    name = "latency"

    def __init__(self, link: Proxy, latency_ms: int) -> None:
        self.target = link.name
        self._link = link
        self._latency_ms = latency_ms

    async def apply(self) -> None:
        await self._link.add_toxic(self.name, "latency", attributes={"latency": self._latency_ms})

    async def prove_active(self) -> str:
        took_ms = await self._greeting_ms()
        if took_ms < self._latency_ms:
            raise ServiceError(f"the server's greeting came after {took_ms:.0f} ms, not {self._latency_ms}")
        return f"the server's greeting took {took_ms:.0f} ms"

    async def heal(self) -> None:
        await self._link.remove_toxic(self.name)

    async def prove_healed(self) -> str:
        async def quick() -> float | None:
            took_ms = await self._greeting_ms()
            # One may be late because the machine is busy; while the latency is there, every one is.
            return took_ms if took_ms <= self._latency_ms * _HEALED_SHARE_MAX else None

        took_ms = await wait_for("a greeting without the latency", quick, deadline_s=_GREETING_WITHIN_S)
        return f"the server's greeting took {took_ms:.0f} ms"

    async def _greeting_ms(self) -> float:
        return await greeting_s(self._link.listen, _GREETING_WITHIN_S) * 1000
