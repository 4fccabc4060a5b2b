"""What a harness process owns and would leave behind: told line by line, and taken away at the end.

    ["own-folder", "/tmp/x"] ... ["release-folder", "/tmp/x"]   ->   Estate   ->   settle: nothing of it is left

Standard library only: the warden's process uses it, and has to start fast.
"""

import contextlib
import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from harness.services import kernel_things, procfs
from harness.services.kernel_things import Kind

TOKEN_VARIABLE = "FLEETPROOF_WARDEN"  # noqa: S105 - the name of a mark, not a secret
DEATHS_WITHIN_S = 10.0
LOOKS = 2
BETWEEN_LOOKS_S = 0.02


@dataclass(slots=True)
class Settled:
    """What there was to take away, and in words what stayed."""

    processes: set[tuple[int, int]] = field(default_factory=set)
    folders: int = 0
    things: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        return not (self.processes or self.folders or self.things or self.problems)

    def __str__(self) -> str:
        parts = [
            f"{number} {one if number == 1 else many}"
            for number, one, many in (
                (len(self.processes), "process", "processes"),
                (self.folders, "folder", "folders"),
                (self.things, "mount, namespace or control group", "mounts, namespaces and control groups"),
            )
            if number
        ]
        return ", ".join([*parts, *(f"left: {problem}" for problem in self.problems)]) or "nothing"


class Estate:
    """Fed with the lines that a harness tells its warden. `same_boot` is False where pids are of an earlier boot."""

    def __init__(self, token: str, *, same_boot: bool = True) -> None:
        self.closed = False
        self.processes: set[tuple[int, int]] = set()
        self.folders: set[str] = set()
        self.things: dict[tuple[Kind, str], None] = {}
        self._token = token
        self._same_boot = same_boot

    def apply(self, line: bytes) -> None:
        """Raises ValueError for what is no message."""
        match json.loads(line):
            case ["close"]:
                self.closed = True
            case ["own-process", int(pid), int(start_ticks)]:
                self.processes.add((pid, start_ticks))
            case ["release-process", int(pid), int(start_ticks)]:
                self.processes.discard((pid, start_ticks))
            case ["own-folder", str(path)]:
                self.folders.add(path)
            case ["release-folder", str(path)]:
                self.folders.discard(path)
            case ["own-thing", ("mount" | "netns" | "cgroup") as kind, str(name)]:
                self.things[kind, name] = None
            case ["release-thing", ("mount" | "netns" | "cgroup") as kind, str(name)]:
                self.things.pop((kind, name), None)
            case unknown:
                raise ValueError(f"no such message: {unknown!r}")

    def settle(self) -> Settled:
        """Kill, unmount, remove. Takes up to ten seconds if a process does not die."""
        settled = Settled()
        deadline = time.monotonic() + DEATHS_WITHIN_S
        looks_empty = 0
        # Two looks: a process that was between fork and exec at the first shows its mark at the second.
        while looks_empty < LOOKS and time.monotonic() < deadline:
            looks_empty = looks_empty + 1 if self._kill(settled) else 0
            time.sleep(BETWEEN_LOOKS_S)
        if looks_empty < LOOKS:
            settled.problems.append("a process does not die")
        # The last one first, and before the folders: what is mounted in a folder keeps it from being removed.
        for kind, name in reversed(self.things):
            try:
                settled.things += kernel_things.end(kind, name)
            except OSError as e:
                settled.problems.append(f"{kind} {name}: {e.strerror}")
        for folder in sorted(self.folders):
            try:
                settled.folders += remove_folder(Path(folder))
            except OSError as e:
                settled.problems.append(f"{folder}: {e.strerror}")
        return settled

    def _kill(self, settled: Settled) -> bool:
        """Kill what is left; True when nothing of it is alive any more."""
        if not self._same_boot:
            return True
        targets = [
            state
            for pid, start_ticks in self.processes
            if (state := procfs.process_state(pid)) is not None and state.start_ticks == start_ticks
        ]
        targets = [t for t in targets if t.alive or procfs.group_members(t.pid)]
        targets += procfs.with_environment(f"{TOKEN_VARIABLE}={self._token}")
        for target in targets:
            procfs.kill(target)
            settled.processes.add((target.pid, target.start_ticks))
        return not targets


def remove_folder(path: Path) -> bool:
    """False if it is gone already. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
        return True
    return False
