"""A link that hands on small pieces with pauses: no read of the client ends where a message does."""

from harness.errors import ServiceError
from harness.faults.toxic import Toxic
from harness.services.toxiproxy import Proxy

_PROBE_PIECES = 40
# Two pieces may come in one read where the reader is late; on a busy machine it is late for long, and asks again.
_READS_SHARE_MIN = 0.5
_PROBES_MAX = 10


class Slicer(Toxic):
    """Slices what the server sends on one link."""

    name = "slicer"

    def __init__(self, link: Proxy, size_bytes: int, *, pause_us: int) -> None:
        """Pieces of about `size_bytes` (a quarter more or less), with `pause_us` between them."""
        super().__init__(
            link, "slicer", {"average_size": size_bytes, "size_variation": size_bytes // 4, "delay": pause_us}
        )
        self._probe_bytes = size_bytes * _PROBE_PIECES

    async def prove_active(self) -> str:
        seen = ""
        for _ in range(_PROBES_MAX):
            pulled = await self.pull(self._probe_bytes)
            if pulled.end == "all" and pulled.pieces >= _PROBE_PIECES * _READS_SHARE_MIN:
                return f"through the link came {pulled}"
            seen = f"{pulled}"
        raise ServiceError(f"{self.target}: through the link came {seen}, not in slices")

    async def prove_healed(self) -> str:
        pulled = await self.pull(self._probe_bytes)
        if pulled.end != "all" or pulled.pieces >= _PROBE_PIECES * _READS_SHARE_MIN:
            raise ServiceError(f"{self.target}: through the link still came {pulled}")
        return f"through the link came {pulled}"
