"""An operator runs out of memory: a control group with no memory to give takes it in, and the kernel kills it."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from harness.capability import Unavailable, probe_all
from harness.errors import ServiceError
from harness.faults.kill import EXIT_WITHIN_S, Kill
from harness.services.memory_group import MemoryGroup
from harness.services.operator import OperatorProcess
from harness.services.warden import Warden
from harness.wait import wait_for

CAPABILITY = "memory-cgroup"
_ANSWER_WITHIN_S = 0.5


class OutOfMemory(Kill):
    """A SIGKILL that the kernel sends: proved by its own count as well."""

    def __init__(
        self, operator: OperatorProcess, restart: Callable[[], Awaitable[OperatorProcess]], warden: Warden
    ) -> None:
        super().__init__(operator, restart)
        self.name = "out-of-memory"
        self._warden = warden
        self._group: MemoryGroup | None = None

    def available(self) -> str | None:
        result = probe_all([CAPABILITY])[CAPABILITY]
        return str(result) if isinstance(result, Unavailable) else None

    async def apply(self) -> None:
        process = self._operator.process
        if not process.running:
            return
        self._group = MemoryGroup.make(self._warden)
        self._group.limit(0)
        # Recorded first: what the kernel's signal causes must not stand before it in the history.
        process.record("signalled", signal=signal.SIGKILL)
        self._group.take_in(process.pid)
        self._sent = True

    async def prove_active(self) -> str:
        if self._group is not None:
            await wait_for(
                f"{self._operator.process.name} to want memory", self._ask, deadline_s=EXIT_WITHIN_S, interval_s=0.02
            )
        proof = await super().prove_active()
        if self._group is None or not self._group.kills:
            raise ServiceError(f"{self._operator.process.name}: the kernel counts no kill for want of memory")
        return f"{proof}; the kernel counts {self._group.kills} kill for want of memory"

    async def _ask(self) -> bool | None:
        """Ask it something on a new connection: one that is idle may live on what it has for long."""
        if not self._operator.process.running:
            return True
        parts = urlsplit(self._operator.url)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
                try:
                    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
                    await reader.read()
                finally:
                    writer.transport.abort()
        return None

    async def close(self) -> None:
        if self._group is not None:
            await asyncio.to_thread(self._group.close)
