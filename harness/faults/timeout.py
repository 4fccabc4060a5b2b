"""A link that falls silent: connections stay, and not a byte comes from the server any more."""

from harness.errors import ServiceError
from harness.faults.toxic import Toxic
from harness.services.toxiproxy import Proxy

_GREETING_BYTES = 64
_SILENT_FOR_S = 0.5


class Timeout(Toxic):
    """Silence on one link; healing ends the connections that were silent, since what they lost is lost."""

    name = "timeout"

    def __init__(self, link: Proxy) -> None:
        super().__init__(link, "timeout", {"timeout": 0})

    async def prove_active(self) -> str:
        pulled = await self.pull(_GREETING_BYTES, _SILENT_FOR_S)
        if pulled.end != "silent" or pulled.bytes:
            raise ServiceError(f"{self.target}: the link is not silent; through it came {pulled}")
        return f"a new connection was there and got no greeting within {_SILENT_FOR_S * 1000:.0f} ms"
