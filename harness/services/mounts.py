"""Mounts for faults of a disk: a small one, and one that cannot be written. The warden owns the mount points."""

import asyncio
from pathlib import Path

from harness.errors import ServiceError

_MOUNT_WITHIN_S = 10.0


async def mount_tmpfs(path: Path, size_bytes: int) -> None:
    """An empty disk in memory that holds so much. Raises ServiceError."""
    await _mount("-t", "tmpfs", "-o", f"size={size_bytes},mode=0700", "tmpfs", str(path))


async def mount_read_only(path: Path) -> None:
    """The same files at the same place, and nobody can write there. Raises ServiceError."""
    await _mount("--bind", str(path), str(path))
    await _mount("-o", "remount,bind,ro", str(path))


async def _mount(*arguments: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            "mount", *arguments, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(_MOUNT_WITHIN_S):
            _, said = await process.communicate()
    except (OSError, TimeoutError) as e:
        raise ServiceError(f"mount {' '.join(arguments)}: {str(e) or 'no answer'}") from e
    if process.returncode != 0:
        raise ServiceError(f"mount {' '.join(arguments)}: {said.decode(errors='replace').strip()}")
