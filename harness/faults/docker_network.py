"""A container is taken off its network, as `docker network disconnect` does it, and put back."""

import json

from harness.capability import Unavailable, probe_all
from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.tools import run_tool

CAPABILITY = "docker"
_COMMAND_WITHIN_S = 20.0


class DockerNetworkDisconnect(Fault):
    """Proved by the daemon's own account of the container. `container` and `network` are names or ids."""

    name = "docker-network-disconnect"

    def __init__(self, container: str, network: str) -> None:
        self.target = f"{container} on {network}"
        self._container = container
        self._network = network
        self._off = False

    def available(self) -> str | None:
        result = probe_all([CAPABILITY])[CAPABILITY]
        return str(result) if isinstance(result, Unavailable) else None

    async def apply(self) -> None:
        await _docker("network", "disconnect", "--force", self._network, self._container)
        self._off = True

    async def prove_active(self) -> str:
        if self._network in (there := await self._networks()):
            raise ServiceError(f"{self._container} is still on {self._network}")
        return f"{self._container} is on {', '.join(there) or 'no network'}, by the daemon"

    async def heal(self) -> None:
        await _docker("network", "connect", self._network, self._container)
        self._off = False

    async def prove_healed(self) -> str:
        address = (await self._networks()).get(self._network)
        if not address:
            raise ServiceError(f"{self._container} has no address on {self._network}")
        return f"{self._container} has {address} on {self._network}, by the daemon"

    async def close(self) -> None:
        """Put it back, should nobody have healed it. A container that is gone needs none."""
        if self._off and await self._there():
            await self.heal()
        self._off = False

    async def _networks(self) -> dict[str, str]:
        """The networks that the container is on, and its address on each."""
        told = await _docker("container", "inspect", "--format", "{{json .NetworkSettings.Networks}}", self._container)
        try:
            return {name: str(network.get("IPAddress", "")) for name, network in json.loads(told).items()}
        except (ValueError, AttributeError) as e:
            raise ServiceError(f"docker said of {self._container} what nobody can read: {told[:200]}") from e

    async def _there(self) -> bool:
        return bool(await _docker("container", "ls", "--quiet", "--filter", f"name=^{self._container}$"))


async def _docker(*arguments: str) -> str:
    """What it printed. Raises ServiceError with what it complained of."""
    return await run_tool("docker", *arguments, within_s=_COMMAND_WITHIN_S)
