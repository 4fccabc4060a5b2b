"""A link that ends after k bytes: each connection is closed once it has carried them to the client."""

from harness.errors import ServiceError
from harness.faults.toxic import Toxic
from harness.services.toxiproxy import Proxy


class LimitData(Toxic):
    """New connections count from their first byte, those that are there from now on."""

    name = "limit-data"

    def __init__(self, link: Proxy, limit_bytes: int) -> None:
        super().__init__(link, "limit_data", {"bytes": limit_bytes})
        self._limit_bytes = limit_bytes

    async def prove_active(self) -> str:
        pulled = await self.pull(self._limit_bytes + 1)
        if pulled.end != "closed" or pulled.bytes != self._limit_bytes:
            raise ServiceError(f"{self.target}: through the link came {pulled}; its limit is {self._limit_bytes} bytes")
        return f"a new connection was closed after {pulled.bytes} bytes"

    async def prove_healed(self) -> str:
        return await self.whole(self._limit_bytes + 1)
