"""A short command of the system, run to its end: `ip`, `mount`, `docker`. Never a shell, never longer than its time."""

import asyncio

from harness.errors import ServiceError

_SAID_CHARS_MAX = 2000


async def run_tool(*argv: str, within_s: float, enable: str = "") -> str:
    """What it printed.

    Args:
        argv: the program and its arguments.
        within_s: then it is killed.
        enable: what to do where there is no such program.

    Raises:
        ServiceError: it cannot be started, did not end in time, or complained; with its words.
    """
    words = " ".join(argv)
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except OSError as e:
        raise ServiceError(f"{argv[0]} cannot be started: {e.strerror}{enable and f': {enable}'}") from e
    try:
        async with asyncio.timeout(within_s):
            output, complaints = await process.communicate()
    except TimeoutError as e:
        raise ServiceError(f"{words} did not end within {within_s:g} s") from e
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        said = (complaints or output).decode(errors="replace").strip()[:_SAID_CHARS_MAX]
        raise ServiceError(f"{words}: exit code {process.returncode}: {said}")
    return output.decode(errors="replace").strip()
