"""Can these host ports be bound now? Asked before a container that works is stopped for one that needs them."""

import errno
import socket
from collections.abc import Iterable

from fleet.agent.model import HostPort


def taken(ports: Iterable[HostPort]) -> list[HostPort]:
    """Those that a socket on any address of this machine holds, in order. What cannot be told is not taken."""
    return sorted(port for port in ports if _is_taken(port))


def _is_taken(port: HostPort) -> bool:
    number, protocol = port
    tcp = protocol == "TCP"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as probe:
        if tcp:
            # As container runtimes bind: a connection that ended lately is not in the way, a listener is. For UDP the
            # same option would share the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", number))  # noqa: S104 - that is where a published port is bound
        except OSError as e:
            return e.errno == errno.EADDRINUSE
    return False
