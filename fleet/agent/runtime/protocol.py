"""What the agent needs of a container runtime. Every call is safe to repeat; none compares a specification."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from fleet.agent.model import Container, Reason, ServiceSpec
from fleet.errors import FleetError


class RuntimeTrouble(FleetError):  # noqa: N818 - names a state, as those of peers do
    """The runtime did not do what was asked; `reason` says it to machines, `str()` to people."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RuntimeAway(RuntimeTrouble):
    """No answer: whether the request took effect is unknown. The same request may succeed later."""

    def __init__(self, message: str) -> None:
        super().__init__(Reason.RUNTIME_AWAY, message)


@dataclass(frozen=True, slots=True)
class ExecResult:
    """`output` is stdout and stderr as they came, cut at the bound (`truncated`)."""

    exit_code: int
    output: bytes
    truncated: bool


class ContainerRuntime(Protocol):
    """All calls raise RuntimeTrouble, RuntimeAway if there was no answer."""

    async def containers(self) -> Sequence[Container]:
        """Every container that carries this device's labels, in whatever state."""

    async def prepare(self, spec: ServiceSpec) -> None:
        """See to it that the image is there, by the service's pull policy. IMAGE_MISSING, IMAGE_PULL_FAILED."""

    async def create(self, spec: ServiceSpec) -> str:
        """The id of the container of that name, made now or before; it does not run yet. NAME_TAKEN, CREATE_FAILED."""

    async def start(self, container_id: str) -> None:
        """On return it was started; one that runs is left alone. PORT_TAKEN, START_FAILED."""

    async def stop(self, container_id: str) -> None:
        """On return it does not run: its own stop signal, its own grace, then SIGKILL. STOP_FAILED."""

    async def remove(self, container_id: str) -> None:
        """On return there is no such container. One that runs is not removed: STOP_FAILED."""

    async def logs(self, container_id: str, *, tail_lines: int, bytes_max: int) -> bytes:
        """The last lines of both streams, at most so many bytes of their end."""

    async def execute(
        self, container_id: str, command: Sequence[str], *, timeout_s: float, bytes_max: int
    ) -> ExecResult:
        """Run it inside, with no input. Raises TimeoutError once `timeout_s` are over; the command is then killed."""

    def changes(self) -> AsyncIterator[None]:
        """One item when it listens, then one for each change of one of this device's containers; never ends by itself.

        Whoever leaves it early closes it (`aclosing`), or its connection stays until it is collected.
        """
