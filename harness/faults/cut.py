"""A link that is cut: open connections are closed and new ones refused, until it is whole again."""

import asyncio

from harness.errors import ServiceError
from harness.faults.fault import Fault
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
            await self._greeting()
        except ServiceError:
            return "nobody answers through the link"
        raise ServiceError(f"{self.target} still carries a greeting")

    async def heal(self) -> None:
        await self._link.enable()

    async def prove_healed(self) -> str:
        await self._greeting()
        return "the server greets through the link"

    async def _greeting(self) -> None:
        """Connect and wait for the first byte; NATS servers speak first. Raises ServiceError."""
        host, _, port = self._link.listen.rpartition(":")
        try:
            async with asyncio.timeout(_GREETING_WITHIN_S):
                reader, writer = await asyncio.open_connection(host, int(port))
                try:
                    await reader.readexactly(1)
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as e:
            raise ServiceError(f"{self.target}: no greeting through the link: {str(e) or type(e).__name__}") from e
