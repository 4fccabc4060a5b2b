"""A link that is cut: open connections are closed and new ones refused, until it is whole again."""

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.nats_probe import greeting_s
from harness.services.toxiproxy import Proxy

_GREETING_WITHIN_S = 5.0


class Cut(Fault):
    """One cut of one link to a NATS server."""

    name = "cut"

    def __init__(self, link: Proxy) -> None:
        self.target = link.name
        self._link = link

    async def apply(self) -> None:
        await self._link.disable()

    async def prove_active(self) -> str:
        try:
            await greeting_s(self._link.listen, _GREETING_WITHIN_S)
        except ServiceError:
            return "nobody answers through the link"
        raise ServiceError(f"{self.target} still carries a greeting")

    async def heal(self) -> None:
        await self._link.enable()

    async def prove_healed(self) -> str:
        await greeting_s(self._link.listen, _GREETING_WITHIN_S)
        return "the server greets through the link"
