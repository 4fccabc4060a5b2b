"""What the faults of a link to a NATS server have in common: one toxic on one proxy, from the server to its client."""

from collections.abc import Mapping

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.nats_probe import Pulled, pull
from harness.services.toxiproxy import Proxy

PROBE_WITHIN_S = 10.0
_WHOLE_BYTES = 2048


class Toxic(Fault):
    """Whoever derives from it says how it is seen to bite."""

    def __init__(self, link: Proxy, kind: str, attributes: Mapping[str, int]) -> None:
        """`kind` and `attributes` are toxiproxy's own."""
        self.target = link.name
        self.link = link
        self._kind = kind
        self._attributes = dict(attributes)

    async def apply(self) -> None:
        await self.link.add_toxic(self.name, self._kind, attributes=self._attributes)

    async def heal(self) -> None:
        await self.link.remove_toxic(self.name)

    async def prove_healed(self) -> str:
        return await self.whole(_WHOLE_BYTES)

    async def pull(self, count: int, within_s: float = PROBE_WITHIN_S) -> Pulled:
        """What a new connection through the link gets of so many bytes."""
        return await pull(self.link.listen, count, within_s)

    async def whole(self, count: int) -> str:
        """Raises ServiceError unless that many bytes come through on a new connection."""
        pulled = await self.pull(count)
        if pulled.end != "all":
            raise ServiceError(f"{self.target}: of {count} bytes through the link came {pulled}")
        return f"through the link came {pulled}"
