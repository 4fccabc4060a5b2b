"""A device of a test: a machine with podman and an agent on it, and a witness of its containers."""

from collections.abc import Mapping, Sequence

from harness.errors import ServiceError
from harness.history import Recorder
from harness.observers.containers import ContainerObserver
from harness.services.agent import start_agent
from harness.services.device_host import DeviceHost
from harness.services.process import ManagedProcess


class Device:
    """Its agents are named `<device>-agent-<life>`; one of them lives at a time, unless a test starts more."""

    def __init__(self, host: DeviceHost, command: Sequence[str], recorder: Recorder, labels: Mapping[str, str]) -> None:
        self.host = host
        self.containers = ContainerObserver(host.name, host.events, recorder).start()
        self._command = command
        self._labels = labels
        self._lives = 0
        self._agent: ManagedProcess | None = None

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def agent(self) -> ManagedProcess:
        """The one that was started last. Raises ServiceError if none was."""
        if self._agent is None:
            raise ServiceError(f"no agent was started on {self.name}")
        return self._agent

    async def start_agent(
        self, extra: Mapping[str, str] | None = None, *, wrapped_by: Sequence[str] = ()
    ) -> ManagedProcess:
        """One more life of the agent. `wrapped_by` is a program that runs it, such as a tracer with its arguments."""
        self._lives += 1
        self._agent = await start_agent(
            [*wrapped_by, *self._command],
            self.host,
            name=f"{self.name}-agent-{self._lives}",
            labels=self._labels,
            extra=extra,
        )
        return self._agent

    async def close(self) -> None:
        """End all of it. Idempotent."""
        try:
            if self._agent is not None:
                await self._agent.kill()
        finally:
            try:
                await self.host.close()
            finally:
                await self.containers.close()
