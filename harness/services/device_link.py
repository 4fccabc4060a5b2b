"""The cable of a device host: one end here, the other in its network, and a relay behind it that leads to NATS.

    in the host: far address ---veth--- near address: relay --> upstream (a fault point, a server)

When the machine loses its power nobody is told: what is on this side keeps its connections until it notices.
"""

import contextlib
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from harness.errors import ServiceError
from harness.history import Recorder
from harness.services.ports import lease
from harness.services.relay import Relay
from harness.services.tools import run_tool
from harness.services.veth_link import addresses
from harness.wait import wait_for

_COMMAND_WITHIN_S: Final = 10.0
_GONE_WITHIN_S: Final = 10.0
_DEVICES: Final = Path("/sys/class/net")
_INSIDE: Final = "eth0"


class DeviceLink:
    """Made once, and plugged in at each boot: its addresses stay the same until `close`."""

    def __init__(self, name: str, upstream: str, recorder: Recorder | None) -> None:
        """`upstream` is host:port; the connections' ends are in the history under `name`."""
        self.name = name
        self._upstream = upstream
        self._recorder = recorder
        self._stack = AsyncExitStack()
        self._port = self._stack.enter_context(lease())
        self._near, self._far = addresses(self._port)
        # As unique as the port. The kernel takes 15 characters.
        self.device = f"fp-host{self._port.port}"
        self._relayed = False

    @property
    def listen(self) -> str:
        """host:port for clients within the machine."""
        return f"{self._near}:{self._port.port}"

    async def plug(self, pid: int) -> None:
        """Into the network of that process. Raises ServiceError."""
        await _ip("link", "add", self.device, "type", "veth", "peer", "name", _INSIDE, "netns", str(pid))
        await _ip("address", "add", f"{self._near}/30", "dev", self.device)
        await self.mend()
        for words in (["address", "add", f"{self._far}/30", "dev", _INSIDE], ["link", "set", _INSIDE, "up"]):
            await run_tool("nsenter", "--target", str(pid), "--net", "ip", *words, within_s=_COMMAND_WITHIN_S)
        if not self._relayed:
            # Only now: the address has to be there.
            sock = socket.create_server((self._near, self._port.port))
            await self._stack.enter_async_context(Relay(self.name, self._upstream, self._recorder, sock))
            self._relayed = True

    async def cut(self) -> None:
        """Pull the cable: the machine sees that it has none. Raises ServiceError."""
        await _ip("link", "set", self.device, "down")

    async def mend(self) -> None:
        """Raises ServiceError."""
        await _ip("link", "set", self.device, "up")

    async def unplug(self) -> None:
        """From a machine without power. The kernel takes the cable away by itself, but long after on a busy machine.

        Raises WaitTimeout.
        """
        with contextlib.suppress(ServiceError):
            # It may be gone already, or go meanwhile.
            await _ip("link", "delete", self.device)
        await wait_for(
            f"network device {self.device} to be gone",
            lambda: None if (_DEVICES / self.device).exists() else True,
            deadline_s=_GONE_WITHIN_S,
            interval_s=0.005,
        )

    async def close(self) -> None:
        """End its connections, and give its addresses back. Idempotent."""
        await self._stack.aclose()


async def _ip(*arguments: str) -> None:
    await run_tool("ip", *arguments, within_s=_COMMAND_WITHIN_S, enable="apt-get install iproute2")
