"""A link that resets: each connection ends with a TCP reset, as by a firewall that forgot it."""

from harness.errors import ServiceError
from harness.faults.toxic import Toxic
from harness.services.toxiproxy import Proxy

_GREETING_BYTES = 64


class Reset(Toxic):
    """Resets every connection through one link, those that are there and new ones."""

    name = "reset"

    def __init__(self, link: Proxy, after_ms: int = 0) -> None:
        """A connection lives for `after_ms`, without a byte."""
        super().__init__(link, "reset_peer", {"timeout": after_ms})

    async def prove_active(self) -> str:
        pulled = await self.pull(_GREETING_BYTES)
        if pulled.end != "reset":
            raise ServiceError(f"{self.target}: no connection was reset; through the link came {pulled}")
        return f"a new connection was reset after {pulled.took_s * 1000:.0f} ms"
