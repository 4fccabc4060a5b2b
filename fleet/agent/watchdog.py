"""What a service manager is told (sd_notify): ready, stopping, one line of status, and that this process still moves.

Without systemd nothing of it does anything. A manager that does not listen is no trouble of the agent's.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

_STATUS_CHARS_MAX = 200
# A beat may be lost or late once: systemd acts after one whole interval without any.
_BEATS_AN_INTERVAL = 3


@dataclass(frozen=True, slots=True)
class Watchdog:
    """`address` is the manager's socket, None without one; `interval_s` is WatchdogSec, None without one."""

    address: str | None = None
    interval_s: float | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Watchdog":
        path = environment.get("NOTIFY_SOCKET", "")
        # A leading @ is the name of an abstract socket. Other kinds (vsock) are for machines, not services.
        address = "\0" + path[1:] if path.startswith("@") else path if path.startswith("/") else None
        return cls(address, _interval_s(environment) if address else None)

    def ready(self) -> None:
        self._tell("READY=1")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={' '.join(text.split())[:_STATUS_CHARS_MAX]}")

    async def run(self, alive: Callable[[], bool]) -> None:
        """Tell it at each third of the interval, for ever, unless the loops are not alive: then it has to kill us.

        It runs on the event loop on purpose: one that stands still does not beat.
        """
        if self.interval_s is None:
            return
        while True:
            if alive():
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self.interval_s / _BEATS_AN_INTERVAL)

    def _tell(self, message: str) -> None:
        if self.address is None:
            return
        # Not blocking: a manager that does not read must not stop what it watches.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
            sender.sendto(message.encode(), self.address)


def _interval_s(environment: Mapping[str, str]) -> float | None:
    """None if the manager does not watch, or watches another process than this one."""
    interval_us, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", str(os.getpid()))
    watched = interval_us.isascii() and interval_us.isdigit() and int(interval_us) > 0 and pid == str(os.getpid())
    return int(interval_us) / 1e6 if watched else None
