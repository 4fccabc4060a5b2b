"""An agent dies (SIGKILL) before a chosen one of its system calls, in the middle of what it is given to do.

The step is named by the call, what it is about and the how many-eth it is, such as `fsync deployments/.web.desired.tmp
#1`: so it is the same step in each run, whichever thread makes it and whatever else is under way.
"""

import signal
from collections.abc import Awaitable, Callable

from harness.checks.killed_rolls import BEFORE, KILLED
from harness.errors import ServiceError, WaitTimeout
from harness.faults.fault import Fault
from harness.services.process import ManagedProcess
from harness.services.step_tracer import StepTracer
from harness.wait import wait_for

DIES_WITHIN_S = 10.0
_LOOK_EVERY_S = 0.005

Life = Callable[[], Awaitable[ManagedProcess]]


class KillBeforeStep(Fault):
    """`tracer` follows the agent already, with that step to kill before; `act` gives the agent its work.

    `over` says that the work is done: then the step was not reached, and the agent is killed all the same.
    """

    name = "kill-before-step"

    def __init__(
        self,
        agent: ManagedProcess,
        tracer: StepTracer,
        *,
        act: Callable[[], Awaitable[None]],
        over: Callable[[], bool],
        restart: Life,
    ) -> None:
        self.target = agent.name
        self.successor: ManagedProcess | None = None
        self.reached = False
        self._agent = agent
        self._tracer = tracer
        self._act = act
        self._over = over
        self._restart = restart

    async def apply(self) -> None:
        await self._tracer.begin()
        # Recorded first: what the signal causes must not stand before it in the history.
        self._agent.record("signalled", signal=signal.SIGKILL)
        await self._act()

    async def prove_active(self) -> str:
        def ended() -> bool | None:
            return True if not self._agent.running or self._over() else None

        try:
            await wait_for(f"{self.target} to die", ended, deadline_s=DIES_WITHIN_S, interval_s=_LOOK_EVERY_S)
            if self._agent.running:
                # What can be seen of its work is done; the last steps may be on their way.
                await self._tracer.wait_quiet()
        except WaitTimeout as e:
            raise ServiceError(f"{self.target} neither came to the step nor ended its work") from e
        finally:
            await self._agent.kill()
        step = self._tracer.killed_before()
        if step is None:
            raise ServiceError(f"{self.target} ended its work and did not come to that step")
        if self._agent.exit_code != -signal.SIGKILL:
            raise ServiceError(f"{self.target} exited with {self._agent.exit_code}, not by SIGKILL")
        self.reached = True
        return f"{KILLED}{BEFORE}{step}"

    async def heal(self) -> None:
        self.successor = await self._restart()

    async def prove_healed(self) -> str:
        if self.successor is None:
            raise ServiceError("nobody was started in its place")
        self.successor.check_running()
        return f"{self.successor.name} runs, pid {self.successor.pid}"

    async def close(self) -> None:
        await self._tracer.close()
