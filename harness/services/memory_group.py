"""A control group that bounds memory: who is moved in and allocates beyond the bound is killed by the kernel.

Works with either hierarchy: version 1 (`memory/`) and version 2, whichever has the memory controller.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import ServiceError
from harness.services.warden import Warden

PREFIX: Final = "fleetproof-"
_ROOT: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class _Hierarchy:
    """Where groups are made, and the names of its files."""

    folder: Path
    limit: str
    events: str


_HIERARCHIES: Final = (
    _Hierarchy(_ROOT / "memory", "memory.limit_in_bytes", "memory.oom_control"),
    _Hierarchy(_ROOT, "memory.max", "memory.events"),
)


class MemoryGroup:
    """One group, owned by the warden from before it is made; `close` ends it."""

    def __init__(self, path: Path, hierarchy: _Hierarchy, warden: Warden) -> None:
        self.path = path
        self._hierarchy = hierarchy
        self._warden = warden

    @classmethod
    def make(cls, warden: Warden) -> "MemoryGroup":
        """Raises ServiceError if this machine lets nobody make one."""
        hierarchy = _hierarchy()
        path = hierarchy.folder / f"{PREFIX}{secrets.token_hex(4)}"
        warden.own_thing("cgroup", str(path))
        group = cls(path, hierarchy, warden)
        try:
            path.mkdir()
        except OSError as e:
            group.close()
            raise ServiceError(f"{path}: no control group can be made: {e.strerror}") from e
        return group

    def take_in(self, pid: int) -> None:
        """Move a process with all its threads. What it has allocated before stays with its old group."""
        self._write("cgroup.procs", str(pid))

    def limit(self, limit_bytes: int) -> None:
        """With 0 the next page that a member asks for is its last."""
        self._write(self._hierarchy.limit, str(limit_bytes))

    @property
    def kills(self) -> int:
        """How many members the kernel has killed for want of memory, by its own count."""
        try:
            lines = (self.path / self._hierarchy.events).read_text().splitlines()
        except OSError as e:
            raise ServiceError(f"{self.path}: its counters cannot be read: {e.strerror}") from e
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def close(self) -> None:
        """End it, with whoever is still in it. Idempotent."""
        self._warden.end_thing("cgroup", str(self.path))

    def _write(self, name: str, value: str) -> None:
        try:
            (self.path / name).write_text(value)
        except OSError as e:
            raise ServiceError(f"{self.path / name}: {value} cannot be written: {e.strerror}") from e


def _hierarchy() -> _Hierarchy:
    for hierarchy in _HIERARCHIES:
        # Version 2 hands the controller down only where its parent says so.
        if hierarchy.folder.name == "memory" and (hierarchy.folder / hierarchy.limit).exists():
            return hierarchy
        control = hierarchy.folder / "cgroup.subtree_control"
        if control.exists() and "memory" in control.read_text().split():
            return hierarchy
    raise ServiceError(f"{_ROOT} has no memory controller that hands groups out")
