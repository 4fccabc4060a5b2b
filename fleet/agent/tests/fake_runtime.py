"""The model of podman behind the interface that the agent has; a call can be held, refused, or fail for no reason."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from fleet.agent.model import Container, ServiceSpec
from fleet.agent.runtime.protocol import ExecResult, RuntimeTrouble
from fleet.agent.tests.fake_podman import FakePodman

DEADLINE_S = 5.0


class FakeRuntime:
    """`calls` are those that change something or might; `looks` counts the lists."""

    def __init__(self) -> None:
        self.podman = FakePodman()
        self.podman.told = self.stir
        self.calls: list[str] = []
        self.looks = 0
        self.healthy = True
        self.output = b""
        """What each container has written, and what a command in it writes."""
        self.checks: list[tuple[Sequence[str], float]] = []
        self.raises: dict[str, Exception] = {}
        """By call: raised once instead of an answer, after the call took effect."""
        self.refuses: dict[str, RuntimeTrouble] = {}
        """By call: raised instead of doing it, each time."""
        self._held: dict[str, asyncio.Event] = {}
        self._stirred: set[asyncio.Event] = set()

    def hold(self, call: str) -> asyncio.Event:
        """From now on this call waits; set what is returned to let it go on."""
        return self._held.setdefault(call, asyncio.Event())

    def stir(self) -> None:
        for event in self._stirred:
            event.set()

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until it holds; looked at whenever something happened."""
        event = asyncio.Event()
        self._stirred.add(event)
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not holds():
                    await event.wait()
                    event.clear()
        except TimeoutError:
            raise AssertionError(f"not within {DEADLINE_S} s: {what}; calls: {self.calls}") from None
        finally:
            self._stirred.discard(event)

    async def containers(self) -> Sequence[Container]:
        await self._call("containers")
        self.looks += 1
        self.stir()
        listed = self.podman.containers()
        # By the time it arrives the world may have gone on.
        await self._call("answer")
        return listed

    async def prepare(self, spec: ServiceSpec) -> None:
        await self._call("prepare", spec.service.image)
        self.podman.prepare(spec)

    async def create(self, spec: ServiceSpec) -> str:
        await self._call("create", spec.service.image)
        created = self.podman.create(spec)
        self._maybe_raise("create")
        return created

    async def start(self, container_id: str) -> None:
        await self._call("start", container_id)
        self.podman.start(container_id)
        self._maybe_raise("start")

    async def stop(self, container_id: str) -> None:
        await self._call("stop", container_id)
        self.podman.stop(container_id)
        self._maybe_raise("stop")

    async def remove(self, container_id: str) -> None:
        await self._call("remove", container_id)
        self.podman.remove(container_id)
        self._maybe_raise("remove")

    async def logs(self, container_id: str, *, tail_lines: int, bytes_max: int) -> bytes:
        await self._call("logs", container_id)
        return b"".join(self.output.splitlines(keepends=True)[-tail_lines:])[-bytes_max:]

    async def execute(
        self, container_id: str, command: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecResult:
        self.checks.append((command, timeout_s))
        await self._call("execute", container_id)
        self._maybe_raise("execute")
        output = self.output if self.healthy else b"no answer\n"
        return ExecResult(0 if self.healthy else 7, output[:bytes_max], truncated=len(output) > bytes_max)

    async def changes(self) -> AsyncIterator[None]:
        event = asyncio.Event()
        seen = len(self.podman.events)
        self._stirred.add(event)
        try:
            while True:
                self._maybe_raise("changes")
                await event.wait()
                event.clear()
                if len(self.podman.events) != seen:
                    seen = len(self.podman.events)
                    yield None
        finally:
            self._stirred.discard(event)

    async def _call(self, call: str, of: str = "") -> None:
        if of:
            self.calls.append(f"{call} {of}")
            self.stir()
        await asyncio.sleep(0)
        if call in self._held:
            await self._held[call].wait()
        if call in self.refuses:
            raise self.refuses[call]

    def _maybe_raise(self, call: str) -> None:
        if call in self.raises:
            raise self.raises.pop(call)
