"""Follows the system calls of an agent from outside, and may kill it before a chosen one (`call_follower`)."""

import signal
import sys
from pathlib import Path
from typing import Self

from harness.services.call_follower import COUNTS, FOLLOWS, KILLED
from harness.services.process import ManagedProcess, log_mark
from harness.services.warden import Warden
from harness.wait import wait_for

_FOLLOWS_WITHIN_S = 10.0
_QUIET_WITHIN_S = 20.0
QUIET_S = 0.08
_LOOK_EVERY_S = 0.01


class StepTracer:
    """One follower. A step is a line of its account, such as `fsync deployments/.web.desired.tmp #1`."""

    def __init__(self, process: ManagedProcess, account: Path) -> None:
        self._process = process
        self._account = account
        self._closed = False

    @classmethod
    async def attach(cls, target: ManagedProcess, root: Path, warden: Warden, *, kill_before: str = "") -> Self:
        """Follow every thread of `target`, whose own files are below `root`. Raises ServiceError."""
        folder = target.log_path.parent
        account = folder / f"{target.name}.steps"
        step = [kill_before] if kill_before else []
        log_path = folder / f"follower-{target.name}.log"
        since = log_mark(log_path)
        process = await ManagedProcess.spawn(
            f"follower-{target.name}",
            [sys.executable, "-m", "harness.services.call_follower", str(target.pid), root, account, *step],
            env={},
            cwd=folder,
            log_path=log_path,
            warden=warden,
        )
        tracer = cls(process, account)
        try:
            await process.wait_log(f"^{FOLLOWS}$", since=since, deadline_s=_FOLLOWS_WITHIN_S)
        except BaseException:
            await tracer.close()
            raise
        return tracer

    async def begin(self) -> None:
        """Count from here: steps before this are none. Raises ServiceError if the follower is gone."""
        self._process.signal(signal.SIGUSR1)

        def counts() -> bool | None:
            # Read before that: one that counted and killed at once has ended too.
            if COUNTS in self._lines():
                return True
            self._process.check_running()
            return None

        await wait_for(
            f"{self._process.name} to count",
            counts,
            deadline_s=_FOLLOWS_WITHIN_S,
            interval_s=_LOOK_EVERY_S,
        )

    async def wait_quiet(self) -> None:
        """Until the process makes no step for a moment. Raises WaitTimeout."""
        before, since_s = -1, 0.0

        def probe() -> bool | None:
            nonlocal before, since_s
            size = self._account.stat().st_size
            since_s = since_s + _LOOK_EVERY_S if size == before else 0.0
            before = size
            return True if since_s >= QUIET_S else None

        await wait_for("no more steps", probe, deadline_s=_QUIET_WITHIN_S, interval_s=_LOOK_EVERY_S)

    def steps(self) -> list[str]:
        """Those that were made since `begin`, in order."""
        lines = self._lines()
        return [line for line in lines[lines.index(COUNTS) + 1 :] if not line.startswith(KILLED)]

    def killed_before(self) -> str | None:
        """The step at which it killed the process; None if it did not."""
        lines = [line for line in self._lines() if line.startswith(KILLED)]
        return lines[0].removeprefix(KILLED) if lines else None

    async def close(self) -> None:
        """The process runs on. Idempotent."""
        if not self._closed:
            self._closed = True
            await self._process.stop()

    def _lines(self) -> list[str]:
        """The complete ones."""
        return self._account.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
