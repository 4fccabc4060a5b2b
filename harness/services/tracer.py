"""strace at a running process, from outside: it tampers with chosen system calls and writes down what it did.

strace -f -p PID -e trace=CALL -e inject=CALL:EFFECT:when=N      the program under test knows nothing of it
"""

import os
from pathlib import Path
from typing import Self

from harness.errors import ServiceError, WaitTimeout
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.wait import wait_for

_ATTACHED_WITHIN_S = 10.0
_SEEN_WITHIN_S = 10.0


class Tracer:
    """One strace. `close` detaches it, and the process runs on as it would have."""

    def __init__(self, process: ManagedProcess, pid: int, log_path: Path) -> None:
        self._process = process
        self._pid = pid
        self._log_path = log_path

    @classmethod
    async def attach(cls, target: ManagedProcess, call: str, effect: str, warden: Warden) -> Self:
        """Tamper with `call` (a system call's name) as `effect` says, in strace's own notation, in every thread.

        Raises ServiceError if strace is not there or is not let.
        """
        name = f"strace-{target.name}"
        folder = target.log_path.parent
        log_path = folder / f"{name}.calls"
        tamper = ["-e", f"trace={call}", "-e", f"inject={call}:{effect}"]
        process = await ManagedProcess.spawn(
            name,
            ["strace", "-f", "-o", log_path, *tamper, "-p", str(target.pid)],
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            cwd=folder,
            log_path=folder / f"{name}.log",
            warden=warden,
        )
        tracer = cls(process, target.pid, log_path)
        try:
            await process.wait_log(rf"Process {target.pid} attached", since=0, deadline_s=_ATTACHED_WITHIN_S)
        except BaseException:
            await tracer.close()
            raise
        return tracer

    async def wait_line(self, text: str) -> str:
        """The first line of its account that holds `text`. Raises ServiceError if it writes none in time."""

        def probe() -> str | None:
            return next((line for line in self.lines() if text in line), None)

        try:
            return await wait_for(f"strace to write {text!r}", probe, deadline_s=_SEEN_WITHIN_S)
        except WaitTimeout as e:
            raise ServiceError(f"{self._process.name}: no injection: its account has no {text!r}") from e

    def lines(self) -> list[str]:
        """Its account so far: a line for each call of that name, and the ends of threads."""
        if not self._log_path.exists():
            return []
        return self._log_path.read_text(errors="replace").splitlines()

    def attached(self) -> bool:
        """By the kernel's word."""
        try:
            status = Path(f"/proc/{self._pid}/status").read_text()
        except OSError:
            return False
        return f"TracerPid:\t{self._process.pid}\n" in status

    async def close(self) -> None:
        """Idempotent."""
        await self._process.stop()
