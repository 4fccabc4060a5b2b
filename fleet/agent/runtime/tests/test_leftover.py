"""Processes that a killed podman left: those of one container are found, and nobody else's."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fleet.agent.runtime import leftover

DEADLINE_S = 20.0
# Nobody else's on this machine, where the same test may run twice.
MINE, OTHER = secrets.token_hex(32), secrets.token_hex(32)
# A process with a child, and that with a child: the runtime and the first process of a container.
SCRIPT = f"""
import subprocess
code = "import subprocess; subprocess.Popen([{sys.executable!r}, '-c', 'input()']); print('up', flush=True); input()"
subprocess.Popen([{sys.executable!r}, "-c", code]).wait()
"""


@asynccontextmanager
async def conmon(folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/conmon",
        str(script),
        *arguments,
        executable=sys.executable,
        stdin=pipe,
        stdout=pipe,
        env={"PYTHONHOME": sys.base_prefix},  # an interpreter looks for it beside its name
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        # Its descendants read to the end of this pipe.
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def test_all_of_one_container_is_found_and_killed(tmp_path: Path) -> None:
    """The one of another container and the one of a command inside live on."""
    of = {
        "mine": ("--api-version", "1", "-c", MINE, "-u", MINE, "-r", "runc"),
        "another's": ("--api-version", "1", "-c", OTHER, "-u", OTHER, "-r", "runc"),
        "a command's": ("--api-version", "1", "-c", MINE, "-u", OTHER, "-r", "runc"),
    }
    async with (
        conmon(tmp_path, *of["mine"]) as mine,
        conmon(tmp_path, *of["another's"]) as another,
        conmon(tmp_path, *of["a command's"]) as command,
    ):
        found = leftover.processes(MINE)
        assert found[0] == mine.pid
        assert len(found) == 3
        assert leftover.end(found)
        async with asyncio.timeout(DEADLINE_S):
            await mine.wait()
        assert leftover.processes(MINE) == []
        assert (another.returncode, command.returncode) == (None, None)
        assert len(leftover.processes(OTHER)) == 3


async def test_processes_that_end_by_themselves_are_not_killed(tmp_path: Path) -> None:
    """As those of a start that failed: whoever looks a moment too early makes nothing of them."""
    async with conmon(tmp_path, "-c", OTHER, "-u", OTHER) as ending:
        found = leftover.processes(OTHER)
        assert len(found) == 3
        assert ending.stdin is not None
        ending.stdin.close()
        assert not await asyncio.to_thread(leftover.end, found)
        assert await ending.wait() == 0


def test_processes_that_are_gone_are_no_error() -> None:
    """They may have ended between the look and the kill."""
    assert leftover.processes("no-such-container") == []
    assert not leftover.end([2**22 - 1])
