"""An agent dies at once (SIGKILL), when the scenario has seen what it waited for; another one carries on."""

import signal
from collections.abc import Awaitable, Callable

from harness.checks.killed_rolls import KILLED
from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.process import ManagedProcess

EXIT_WITHIN_S = 10.0


class KillAgent(Fault):
    """`when` says in words when that is, such as `at died of web/main`. `restart` answers who carries on."""

    name = "kill-agent"

    def __init__(
        self, agent: ManagedProcess, restart: Callable[[], Awaitable[ManagedProcess]], *, when: str = "at rest"
    ) -> None:
        self.target = agent.name
        self.successor: ManagedProcess | None = None
        self._agent = agent
        self._restart = restart
        self._when = when

    async def apply(self) -> None:
        # One that ended before is not ours to complain of: the checks find its exit in the history.
        if self._agent.running:
            self._agent.signal(signal.SIGKILL)

    async def prove_active(self) -> str:
        code = await self._agent.wait_exit(EXIT_WITHIN_S)
        if code != -signal.SIGKILL:
            raise ServiceError(f"{self.target} exited with {code}, not by SIGKILL")
        return f"{KILLED}{self._when}"

    async def heal(self) -> None:
        self.successor = await self._restart()

    async def prove_healed(self) -> str:
        if self.successor is None:
            raise ServiceError("nobody carries on in its place")
        self.successor.check_running()
        return f"{self.successor.name} runs, pid {self.successor.pid}"
