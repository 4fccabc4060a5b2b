"""Mounts for faults of a disk: a small one, and one that cannot be written. The warden owns the mount points."""

from pathlib import Path

from harness.services.tools import run_tool

_MOUNT_WITHIN_S = 10.0


async def mount_tmpfs(path: Path, size_bytes: int) -> None:
    """An empty disk in memory that holds so much. Raises ServiceError."""
    await run_tool(
        "mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(path), within_s=_MOUNT_WITHIN_S
    )


async def mount_read_only(path: Path) -> None:
    """The same files at the same place, and nobody can write there. Raises ServiceError."""
    await run_tool("mount", "--bind", str(path), str(path), within_s=_MOUNT_WITHIN_S)
    await run_tool("mount", "-o", "remount,bind,ro", str(path), within_s=_MOUNT_WITHIN_S)
