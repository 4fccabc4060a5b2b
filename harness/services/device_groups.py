"""The control groups of a device host: one of its own in each hierarchy, which within is that hierarchy's root.

    version 2:    /sys/fs/cgroup/fleetproof-1f2e         -> /sys/fs/cgroup
    version 1:    /sys/fs/cgroup/memory/fleetproof-1f2e  -> /sys/fs/cgroup/memory, and so for cpu, pids, ...

So what podman leaves of its containers goes with the host's own groups.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import ServiceError
from harness.services.warden import Warden

ROOT: Final = Path("/sys/fs/cgroup")
PREFIX: Final = "fleetproof-"
_NAMED: Final = "name="
"""Begins the name of a hierarchy without a controller: systemd's."""
_OURS: Final = Path("/proc/self/cgroup")
# Of version 1: a group of this one takes nobody in before it has them.
_FROM_PARENT: Final = ("cpuset.cpus", "cpuset.mems")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """`kind` and `options` are what `mount` needs to show it; within, it stands at `path` as it does outside."""

    kind: str
    options: str
    path: Path


def hierarchies(ours: str, root: Path = ROOT) -> tuple[Hierarchy, ...]:
    """Version 2 alone, or all of version 1: a container runtime looks for each that /proc/self/cgroup (`ours`) names.

    Raises:
        ServiceError: there is neither.
    """
    if (root / "cgroup.controllers").exists():
        return (Hierarchy("cgroup2", "", root),)
    found = tuple(
        Hierarchy("cgroup", f"none,{names}" if names.startswith(_NAMED) else names, root / name)
        for names in (line.split(":")[1] for line in ours.splitlines())
        # Several controllers may share a hierarchy: then their names are links to it.
        for name in names.removeprefix(_NAMED).split(",")
        if name and (root / name / "cgroup.procs").exists()
    )
    if not found:
        raise ServiceError(f"{root} has no control groups; mount them there")
    return found


class DeviceGroups:
    """Made for one boot of a host and ended after it; owned by the warden from before they are made."""

    def __init__(self, warden: Warden) -> None:
        self._warden = warden
        self._name = f"{PREFIX}{secrets.token_hex(4)}"
        self._hierarchies = hierarchies(_OURS.read_text())

    @property
    def paths(self) -> list[Path]:
        return list(dict.fromkeys(self._group(hierarchy) for hierarchy in self._hierarchies))

    @property
    def mounts(self) -> list[tuple[str, str, str, str]]:
        """(kind, options, group, where it is to stand), for the host's first process."""
        return [(h.kind, h.options, os.fspath(self._group(h)), os.fspath(h.path)) for h in self._hierarchies]

    def make(self) -> None:
        """Raises ServiceError if this machine lets nobody make one; what was made then ends with `end`."""
        for path in self.paths:
            self._warden.own_thing("cgroup", str(path))
            try:
                path.mkdir()
                for name in _FROM_PARENT:
                    if (path / name).exists() and path.parent != ROOT:
                        (path / name).write_text((path.parent / name).read_text())
            except OSError as e:
                raise ServiceError(f"{path}: no control group can be made: {e.strerror}") from e

    def end(self) -> None:
        """With whoever is in them. Idempotent."""
        for path in self.paths:
            self._warden.end_thing("cgroup", str(path))

    def _group(self, hierarchy: Hierarchy) -> Path:
        return hierarchy.path.resolve() / self._name
