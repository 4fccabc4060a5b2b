"""Run a command inside a container, bounded in time and output.

    create session --> start it, read frames to the end --> ask for the exit code
                             | deadline, or the caller left
                             v
                       kill the command, then say so

Podman 4.3 has no call that ends a session, and closing the connection leaves the command running: it is killed by its
process id, as this machine has it.
"""

import asyncio
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fleet.agent.model import Reason
from fleet.agent.runtime.frames import Frames
from fleet.agent.runtime.libpod import CREATED, Libpod, Refusal, parsed, segment
from fleet.agent.runtime.podman_spec import integer, text
from fleet.agent.runtime.protocol import ExecResult, RuntimeAway, RuntimeTrouble
from fleet.canonical import Json

_CODE_PAUSE_S = 0.01
_KILL_TIMEOUT_S = 5.0


async def execute(
    libpod: Libpod, container_id: str, command: Sequence[str], *, timeout_s: float, bytes_max: int
) -> ExecResult:
    """As ContainerRuntime.execute. A command that is not there ends with 127, and the output says so."""
    session = ""
    try:
        async with asyncio.timeout(timeout_s):
            session = await _create(libpod, container_id, command)
            output, truncated = await _output(libpod, session, bytes_max)
            return ExecResult(await _exit_code(libpod, session), output, truncated)
    except Refusal as refusal:
        # 404, 409 and 500 all mean that there is nothing to run it in, in one version or another.
        raise RuntimeTrouble(Reason.EXITED, f"cannot run a command in {container_id[:12]}: {refusal}") from refusal
    except TimeoutError as error:
        await _kill(libpod, session)
        raise TimeoutError(f"{command[0]} did not end within {timeout_s:g} s in {container_id[:12]}") from error
    except asyncio.CancelledError:
        await _kill(libpod, session)
        raise


async def _create(libpod: Libpod, container_id: str, command: Sequence[str]) -> str:
    path = f"containers/{segment(container_id)}/exec"
    wanted: dict[str, Json] = {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)}
    answer = parsed(path, (await libpod.call("POST", path, CREATED, body=wanted)).body)
    if not isinstance(answer, dict):
        raise RuntimeAway("podman's answer to an exec is unreadable")
    return text(answer, "Id")


async def _output(libpod: Libpod, session: str, bytes_max: int) -> tuple[bytes, bool]:
    """All that it writes is read, so that it never waits for us; only the first `bytes_max` are kept."""
    kept, truncated, frames = bytearray(), False, Frames()
    start = libpod.stream("POST", f"exec/{segment(session)}/start", body={"Detach": False, "Tty": False})
    async with start as stream:
        async for chunk in stream.chunks():
            for payload in frames.feed(chunk):
                room = bytes_max - len(kept)
                kept += payload[:room]
                truncated |= len(payload) > room
    return bytes(kept), truncated


async def _exit_code(libpod: Libpod, session: str) -> int:
    """Podman closes the stream a moment before it has written the code down; the caller has the deadline."""
    while (found := await _inspect(libpod, session)).get("Running") is not False:  # noqa: ASYNC110 - podman tells no event
        await asyncio.sleep(_CODE_PAUSE_S)
    return integer(found, "ExitCode")


async def _inspect(libpod: Libpod, session: str) -> dict[str, object]:
    found = await libpod.get(f"exec/{segment(session)}/json")
    if not isinstance(found, dict):
        raise RuntimeAway("podman's answer about an exec is unreadable")
    return found


async def _kill(libpod: Libpod, session: str) -> None:
    """Best effort: whoever waited has given up already, and a podman that is away has no say any more."""
    if not session:
        return
    with suppress(RuntimeTrouble, Refusal, TimeoutError, ProcessLookupError, PermissionError, ValueError):
        async with asyncio.timeout(_KILL_TIMEOUT_S):
            found = await _inspect(libpod, session)
            pid = integer(found, "Pid")
            if found.get("Running") is not True or pid <= 1:
                return
            handle = os.pidfd_open(pid)
            try:
                # Judged while the handle keeps the number from being anybody else's.
                if _is_of_session(pid, session):
                    signal.pidfd_send_signal(handle, signal.SIGSTOP)
                    if os.getpgid(pid) == pid:
                        os.killpg(pid, signal.SIGKILL)
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _is_of_session(pid: int, session: str) -> bool:
    """Its parent is the conmon of this session: a number from another pid namespace names somebody else here."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        return session.encode() in Path(f"/proc/{parent}/cmdline").read_bytes()
    except (OSError, IndexError):
        return False
