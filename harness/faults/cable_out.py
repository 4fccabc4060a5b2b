"""The cable of a device host is pulled: the machine sees that it has none, and its connections hang."""

from pathlib import Path

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.device_host import DeviceHost
from harness.services.device_link import DeviceLink

_DEVICES = Path("/sys/class/net")
_UP = 0x1


class CableOut(Fault):
    """For as long as it takes. The host needs a network."""

    name = "cable-out"

    def __init__(self, host: DeviceHost) -> None:
        if host.link is None:
            raise ServiceError(f"{host.name} has no network that could be cut")
        self.target = host.name
        self._link: DeviceLink = host.link

    async def apply(self) -> None:
        await self._link.cut()

    async def prove_active(self) -> str:
        if self._is_up():
            raise ServiceError(f"{self._link.device} is up")
        return f"{self._link.device} is down"

    async def heal(self) -> None:
        await self._link.mend()

    async def prove_healed(self) -> str:
        if not self._is_up():
            raise ServiceError(f"{self._link.device} is down")
        return f"{self._link.device} is up"

    def _is_up(self) -> bool:
        flags = (_DEVICES / self._link.device / "flags").read_text()
        return bool(int(flags, 16) & _UP)
