"""What a process has used so far, as the kernel counts it."""

import os
from dataclasses import dataclass
from typing import Self

from harness.services.procfs import PROC

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds (user and system, all threads) and the largest resident size there was."""

    cpu_s: float
    rss_max_bytes: int

    def since(self, earlier: Self) -> "Usage":
        return Usage(self.cpu_s - earlier.cpu_s, self.rss_max_bytes)


def usage_of(pid: int) -> Usage:
    """Raises OSError if it is gone."""
    stat = (PROC / str(pid) / "stat").read_text(errors="replace")
    # The name in parentheses may hold spaces and parentheses itself: count from the last one.
    fields = stat[stat.rindex(")") + 2 :].split()
    return Usage((int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S, _size(_status(pid), "VmHWM:"))


def rss_bytes(pid: int) -> int:
    """What it has in memory now. Raises OSError if it is gone."""
    return _size(_status(pid), "VmRSS:")


def _status(pid: int) -> str:
    return (PROC / str(pid) / "status").read_text()


def _size(status: str, name: str) -> int:
    for line in status.splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
