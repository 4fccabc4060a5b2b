"""A narrow link: what the server sends comes at so many bytes a second, and not faster."""

from harness.errors import ServiceError
from harness.faults.toxic import Toxic
from harness.services.toxiproxy import Proxy

_PROBE_S = 0.4
# The first bytes pass before the pacing begins to show, and a busy machine only makes it slower.
_PACED_SHARE_MIN = 0.7


class Bandwidth(Toxic):
    """Bandwidth of each connection through one link, in the direction to the client."""

    name = "bandwidth"

    def __init__(self, link: Proxy, rate_kb_s: int) -> None:
        """`rate_kb_s` is in 1,000 bytes a second."""
        super().__init__(link, "bandwidth", {"rate": rate_kb_s})
        self._rate_kb_s = rate_kb_s
        self._probe_bytes = max(1024, int(rate_kb_s * 1000 * _PROBE_S))

    async def prove_active(self) -> str:
        pulled = await self.pull(self._probe_bytes)
        if pulled.end != "all" or pulled.took_s < self._paced_s * _PACED_SHARE_MIN:
            raise ServiceError(f"{self.target}: through the link came {pulled}, not {self._rate_kb_s} kB/s")
        return f"through the link came {pulled}"

    async def prove_healed(self) -> str:
        pulled = await self.pull(self._probe_bytes)
        if pulled.end != "all" or pulled.took_s > self._paced_s * _PACED_SHARE_MIN:
            raise ServiceError(f"{self.target}: through the link still came {pulled}")
        return f"through the link came {pulled}"

    @property
    def _paced_s(self) -> float:
        return self._probe_bytes / (self._rate_kb_s * 1000)
