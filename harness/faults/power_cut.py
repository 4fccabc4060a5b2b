"""A device host loses its power: all that runs there is gone at once, but for its disk. Healing boots it."""

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.device_host import DeviceHost
from harness.services.procfs import process_state


class PowerCut(Fault):
    """Whoever wants an agent there afterwards starts one."""

    name = "power-cut"

    def __init__(self, host: DeviceHost) -> None:
        self.target = host.name
        self._host = host
        self._first = 0

    async def apply(self) -> None:
        self._first = self._host.first_pid
        await self._host.power_cut()

    async def prove_active(self) -> str:
        first = self._first or self._host.first_pid
        state = process_state(first)
        if state is not None and state.alive:
            raise ServiceError(f"process 1 of {self.target} (pid {first}) lives")
        if await self._host.podman_answers():
            raise ServiceError(f"podman of {self.target} answers")
        return f"process 1 (pid {first}) is gone with all others, and podman does not answer"

    async def heal(self) -> None:
        await self._host.power_on()

    async def prove_healed(self) -> str:
        if self._host.first_pid == self._first or not await self._host.podman_answers():
            raise ServiceError(f"{self.target} has not booted")
        return f"process 1 is pid {self._host.first_pid}, and podman answers"
