"""An operator dies at once (SIGKILL, as by the OOM killer) or is told to end (SIGTERM), and is started again."""

import signal
from collections.abc import Awaitable, Callable

from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.services.operator import OperatorProcess

EXIT_WITHIN_S = 15.0
ANSWER_WITHIN_S = 30.0


class Kill(Fault):
    """Ends one life of the operator; healing starts the next, which is then `successor`."""

    target = "operator"

    def __init__(
        self,
        operator: OperatorProcess,
        restart: Callable[[], Awaitable[OperatorProcess]],
        sig: signal.Signals = signal.SIGKILL,
    ) -> None:
        self.name = sig.name.lower()
        self.successor: OperatorProcess | None = None
        self._operator = operator
        self._restart = restart
        self._signal = sig
        self._sent = False

    async def apply(self) -> None:
        # An operator that ended before is not ours to complain of: the checks find its exit in the history.
        if self._operator.process.running:
            self._operator.process.signal(self._signal)
            self._sent = True

    async def prove_active(self) -> str:
        if not self._sent:
            raise ServiceError(f"{self._operator.process.name} had exited before it could get {self._signal.name}")
        code = await self._operator.process.wait_exit(EXIT_WITHIN_S)
        if self._signal is signal.SIGKILL and code != -signal.SIGKILL:
            raise ServiceError(f"{self._operator.process.name} exited with {code}, not by SIGKILL")
        await self._operator.close()
        return f"pid {self._operator.process.pid} exited with {code}"

    async def heal(self) -> None:
        self.successor = await self._restart()

    async def prove_healed(self) -> str:
        if self.successor is None:
            raise ServiceError("nobody was started in its place")
        recovery = await self.successor.wait_answering(ANSWER_WITHIN_S)
        return f"pid {self.successor.process.pid} answers: {recovery.phase}"
