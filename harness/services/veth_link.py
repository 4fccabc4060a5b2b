"""A way to a server over a network of its own: one end of a veth pair here, the other in a network namespace.

    client --TCP over the veth--> relay, whose listening socket is in the namespace --> upstream (server, fault point)
     near address            far address

So packets can be lost as on a cable, which no proxy on the loopback can do: nobody is told, connections just hang.
"""

import ctypes
import ipaddress
import os
import secrets
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from harness.errors import ServiceError
from harness.history import Recorder
from harness.services.kernel_things import NETNS_FOLDER
from harness.services.ports import FIRST_PORT, PortLease, lease
from harness.services.relay import Relay
from harness.services.tools import run_tool
from harness.services.warden import Warden

_COMMAND_WITHIN_S: Final = 10.0
_DEVICES: Final = Path("/sys/class/net")
_CLONE_NEWNET: Final = 0x40000000
_NETWORKS: Final = ipaddress.IPv4Network("198.18.0.0/15")
"""Set aside for tests of networks (RFC 2544)."""
_LOST_MAC: Final = "02:00:00:00:de:ad"
"""Locally administered, and nobody's: a packet that is sent there is dropped by whoever gets it."""


class VethLink:
    """Clients connect to `listen`; `relay` counts what comes through. Needs the capability `netns`."""

    def __init__(self, name: str, netns: str, near: str, far: str, relay: Relay) -> None:
        self.name = name
        self.listen = relay.listen
        self.relay = relay
        self._netns = netns
        self._near = near
        self._far = far

    async def lose(self) -> None:
        """From now on each packet is lost, both ways; connections stay and nobody is told. Raises ServiceError."""
        await _ip("neighbour", "replace", self._far, *self._lost)
        await _ip("-n", self._netns, "neighbour", "replace", self._near, *self._lost)

    async def carry(self) -> None:
        """Packets pass again. Raises ServiceError."""
        await _ip("neighbour", "flush", "to", self._far, "dev", _device(self._netns), "nud", "permanent")
        await _ip(
            "-n", self._netns, "neighbour", "flush", "to", self._near, "dev", _device(self._netns), "nud", "permanent"
        )

    @property
    def up(self) -> bool:
        """Whether the cable is plugged in at both ends: a link that is down tells its users, a lost packet does not."""
        carrier = _DEVICES / _device(self._netns) / "carrier"
        try:
            return carrier.read_text().strip() == "1"
        except OSError:
            return False

    @property
    def _lost(self) -> tuple[str, ...]:
        return "lladdr", _LOST_MAC, "dev", _device(self._netns), "nud", "permanent"


@asynccontextmanager
async def veth_link(
    name: str, upstream: str, *, warden: Warden, recorder: Recorder | None = None
) -> AsyncIterator[VethLink]:
    """A link of that name in the history, gone afterwards. Raises ServiceError."""
    netns = f"fleetproof-{secrets.token_hex(4)}"
    device = _device(netns)
    with lease() as port:
        near, far = addresses(port)
        # The pair goes with the namespace.
        warden.own_thing("netns", netns)
        try:
            await _ip("netns", "add", netns)
            await _ip("link", "add", device, "type", "veth", "peer", "name", device, "netns", netns)
            await _ip("address", "add", f"{near}/30", "dev", device)
            await _ip("-n", netns, "address", "add", f"{far}/30", "dev", device)
            await _ip("link", "set", device, "up")
            await _ip("-n", netns, "link", "set", device, "up")
            async with Relay(name, upstream, recorder, _listening(netns, far)) as relay:
                yield VethLink(name, netns, near, far, relay)
        finally:
            # A namespace ends some time after its name does; the pair would be seen until then.
            if (_DEVICES / device).exists():
                await _ip("link", "delete", device)
            warden.end_thing("netns", netns)


def addresses(port: PortLease) -> tuple[str, str]:
    """Of a network of two, both /30. The number of a leased port is nobody else's, so neither are they."""
    near, far = ipaddress.IPv4Network((_NETWORKS[(port.port - FIRST_PORT) * 4], 30)).hosts()
    return str(near), str(far)


def _device(netns: str) -> str:
    """Of both ends. The kernel takes 15 characters."""
    return f"fp-{netns.removeprefix('fleetproof-')}"


def _listening(netns: str, address: str) -> socket.socket:
    """A socket stays in the namespace in which it was made, whoever uses it; so a thread goes there to make it."""

    def make() -> socket.socket:
        descriptor = os.open(NETNS_FOLDER / netns, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # Of this thread alone, which ends here.
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                raise ServiceError(f"network namespace {netns}: {os.strerror(ctypes.get_errno())}")
            return socket.create_server((address, 0))
        except OSError as e:
            raise ServiceError(f"network namespace {netns}: no socket on {address}: {e.strerror}") from e
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(1, thread_name_prefix="netns") as pool:
        return pool.submit(make).result()


async def _ip(*arguments: str) -> None:
    """Raises ServiceError with what `ip` said."""
    await run_tool("ip", *arguments, within_s=_COMMAND_WITHIN_S, enable="apt-get install iproute2")
