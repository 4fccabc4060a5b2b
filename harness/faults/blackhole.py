"""A network that swallows packets: connections stay open, new ones are never answered, and nobody is told."""

from contextlib import AsyncExitStack

from harness.capability import Unavailable, probe_all
from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.nats_probe import pull
from harness.services.veth_link import VethLink

CAPABILITY = "netns"
_GREETING_BYTES = 64
_SILENT_FOR_S = 0.7
_HEALED_WITHIN_S = 10.0


class Blackhole(Fault):
    """Loses every packet of one veth link to a NATS server, both ways.

    `ending` closes with the fault: the link, if nobody else ends it.
    """

    name = "blackhole"

    def __init__(self, link: VethLink, ending: AsyncExitStack | None = None) -> None:
        self.target = link.name
        self._link = link
        self._ending = ending

    def available(self) -> str | None:
        result = probe_all([CAPABILITY])[CAPABILITY]
        return str(result) if isinstance(result, Unavailable) else None

    async def apply(self) -> None:
        await self._link.lose()

    async def prove_active(self) -> str:
        pulled = await pull(self._link.listen, _GREETING_BYTES, _SILENT_FOR_S)
        if pulled.end != "silent" or pulled.bytes:
            raise ServiceError(f"{self.target}: the network is no blackhole: through the link came {pulled}")
        if not self._link.up:
            raise ServiceError(f"{self.target}: the link is down, which its users are told: that is no blackhole")
        return f"nobody answered a new connection within {_SILENT_FOR_S * 1000:.0f} ms, on a link that is up"

    async def heal(self) -> None:
        await self._link.carry()

    async def prove_healed(self) -> str:
        pulled = await pull(self._link.listen, _GREETING_BYTES, _HEALED_WITHIN_S)
        if pulled.end != "all":
            raise ServiceError(f"{self.target}: the link does not carry again: through it came {pulled}")
        return f"through the link came {pulled}"

    async def close(self) -> None:
        if self._ending is not None:
            await self._ending.aclose()
