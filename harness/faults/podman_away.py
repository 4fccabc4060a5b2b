"""Podman's service is away while its containers run on: stopped, killed in the middle of something, or silent."""

from typing import Literal

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.device_host import DeviceHost
from harness.services.podman_gate import PodmanGate
from harness.wait import wait_for

_SILENT_S = 0.3


class PodmanAway(Fault):
    """Ended in order (its socket goes with it), or killed (its socket stays, and refuses). Healing starts it again."""

    def __init__(self, host: DeviceHost, how: Literal["stopped", "killed"] = "stopped") -> None:
        self.name = f"podman-{how}"
        self.target = host.name
        self._host = host
        self._how = how

    async def apply(self) -> None:
        await (self._host.stop_podman() if self._how == "stopped" else self._host.kill_podman())

    async def prove_active(self) -> str:
        if await self._host.podman_answers():
            raise ServiceError(f"podman of {self.target} answers")
        socket = "refuses" if self._host.socket.exists() else "is not there"
        return f"podman does not answer, its socket {socket}; {len(await self._running())} containers run"

    async def heal(self) -> None:
        await self._host.start_podman()

    async def prove_healed(self) -> str:
        if not await self._host.podman_answers():
            raise ServiceError(f"podman of {self.target} does not answer")
        return f"podman answers; {len(await self._running())} containers run"

    async def _running(self) -> list[str]:
        return (await self._host.podman("ps", "--quiet")).split()


class PodmanSilent(Fault):
    """It takes requests and says nothing. Needs an agent that asks through the gate, which is closed with the fault."""

    name = "podman-silent"

    def __init__(self, host: DeviceHost, gate: PodmanGate) -> None:
        self.target = host.name
        self._gate = gate

    async def apply(self) -> None:
        self._gate.fall_silent()

    async def prove_active(self) -> str:
        if (said := await self._said()) is not None:
            raise ServiceError(f"podman of {self.target} answers: {said}")
        return f"a ping was taken, and not answered within {_SILENT_S:g} s"

    async def heal(self) -> None:
        self._gate.speak()

    async def prove_healed(self) -> str:
        return f"a ping was answered: {await wait_for('an answer of podman', self._said, deadline_s=5.0)}"

    async def close(self) -> None:
        await self._gate.close()

    async def _said(self) -> str | None:
        return await self._gate.ping(_SILENT_S)
