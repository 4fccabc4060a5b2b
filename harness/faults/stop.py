"""A process stands still (SIGSTOP, as a suspended machine makes it) and goes on as if nothing had been."""

import signal

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services import procfs
from harness.services.operator import OperatorProcess
from harness.wait import wait_for

SEEN_WITHIN_S = 2.0
ANSWER_WITHIN_S = 10.0
_STOPPED = "T"


class Stop(Fault):
    """Stops one operator; healing continues it."""

    name = "sigstop"

    def __init__(self, operator: OperatorProcess) -> None:
        self.target = operator.process.name
        self._operator = operator

    async def apply(self) -> None:
        # One that ended before is not ours to complain of: the checks find its exit in the history.
        if self._operator.process.running:
            self._operator.process.signal(signal.SIGSTOP)

    async def prove_active(self) -> str:
        await self._wait_state(stopped=True)
        return f"pid {self._operator.process.pid} is stopped"

    async def heal(self) -> None:
        if self._operator.process.running:
            self._operator.process.signal(signal.SIGCONT)

    async def prove_healed(self) -> str:
        await self._wait_state(stopped=False)

        async def answers() -> bool | None:
            self._operator.process.check_running()
            await self._operator.get("/healthz")
            return True

        await wait_for(f"{self.target} to answer", answers, deadline_s=ANSWER_WITHIN_S)
        return f"pid {self._operator.process.pid} goes on and answers"

    async def _wait_state(self, *, stopped: bool) -> None:
        """By the kernel's word."""
        process = self._operator.process

        def probe() -> bool | None:
            state = procfs.process_state(process.pid) if process.running else None
            if state is None or not state.alive:
                raise ServiceError(f"{self.target} (pid {process.pid}) has ended")
            return True if (state.state == _STOPPED) is stopped else None

        what = "to stop" if stopped else "to go on"
        await wait_for(f"{self.target} {what}", probe, deadline_s=SEEN_WITHIN_S, interval_s=0.005)
