"""The n-th system call of one kind, counted from now on in each thread: it kills the operator, or it fails.

Killed means: before the call has any effect. strace's own account says that it happened.
"""

import signal
from collections.abc import Awaitable, Callable

from harness.capability import Unavailable, probe_all
from harness.errors import ServiceError
from harness.faults.fault import Fault
from harness.faults.kill import ANSWER_WITHIN_S, Kill
from harness.services.operator import OperatorProcess
from harness.services.tracer import Tracer
from harness.services.warden import Warden
from harness.wait import wait_for

CAPABILITY = "strace-inject"
_INJECTED = "(INJECTED)"
_KILLED = "+++ killed by SIGKILL"
_LINE_CHARS_MAX = 200


class KillAtCall(Kill):
    """A SIGKILL right before the operator's `nth` call from now on."""

    def __init__(
        self,
        operator: OperatorProcess,
        call: str,
        nth: int,
        *,
        restart: Callable[[], Awaitable[OperatorProcess]],
        warden: Warden,
    ) -> None:
        super().__init__(operator, restart)
        self.name = "kill-at-call"
        self._call = call
        self._nth = nth
        self._warden = warden
        self._tracer: Tracer | None = None

    def available(self) -> str | None:
        return _missing()

    async def apply(self) -> None:
        process = self._operator.process
        if not process.running:
            return
        # Recorded first: what strace's signal causes must not stand before it in the history.
        process.record("signalled", signal=signal.SIGKILL)
        self._tracer = await Tracer.attach(process, self._call, f"signal=SIGKILL:when={self._nth}", self._warden)
        self._sent = True

    async def prove_active(self) -> str:
        proof = await super().prove_active()
        tracer = _attached(self._tracer, self._operator)
        await tracer.wait_line(_KILLED)
        calls = [line for line in tracer.lines() if f" {self._call}(" in line]
        if not calls or not calls[-1].endswith("= ?"):
            raise ServiceError(f"{self._operator.process.name} did not die at a {self._call}, by strace")
        return f"{proof} at {self._call} number {self._nth}, by strace"

    async def close(self) -> None:
        if self._tracer is not None:
            await self._tracer.close()


class FailCall(Fault):
    """Fails calls of one kind with an errno, from the n-th on or only that one; healing detaches strace."""

    name = "fail-call"
    target = "operator"

    def __init__(
        self, operator: OperatorProcess, call: str, error: str, *, nth: int = 1, onwards: bool = False, warden: Warden
    ) -> None:
        """`error` is the errno's name, e.g. ECONNRESET."""
        self._operator = operator
        self._call = call
        self._effect = f"error={error}:when={nth}{'+' if onwards else ''}"
        self._warden = warden
        self._tracer: Tracer | None = None

    def available(self) -> str | None:
        return _missing()

    async def apply(self) -> None:
        # One that ended before is not ours to complain of: the checks find its exit in the history.
        if self._operator.process.running:
            self._tracer = await Tracer.attach(self._operator.process, self._call, self._effect, self._warden)

    async def prove_active(self) -> str:
        line = await _attached(self._tracer, self._operator).wait_line(_INJECTED)
        return f"by strace: {line[-_LINE_CHARS_MAX:]}"

    async def heal(self) -> None:
        await self.close()

    async def prove_healed(self) -> str:
        process = self._operator.process
        if _attached(self._tracer, self._operator).attached():
            raise ServiceError(f"{process.name} is still traced")

        async def answers() -> bool | None:
            process.check_running()
            await self._operator.get("/healthz")
            return True

        await wait_for(f"{process.name} to answer", answers, deadline_s=ANSWER_WITHIN_S, expect=(ServiceError,))
        return f"pid {process.pid} is traced no more and answers"

    async def close(self) -> None:
        if self._tracer is not None:
            await self._tracer.close()


def _missing() -> str | None:
    result = probe_all([CAPABILITY])[CAPABILITY]
    return str(result) if isinstance(result, Unavailable) else None


def _attached(tracer: Tracer | None, operator: OperatorProcess) -> Tracer:
    if tracer is None:
        raise ServiceError(f"{operator.process.name} was never traced")
    return tracer
