"""A device of a test's: a fake runtime, the workers on it, and what they said."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleet.agent.model import ContainerState, Slot
from fleet.agent.tests.fake_podman import LIFECYCLE, WEB, service
from fleet.agent.tests.fake_runtime import FakeRuntime
from fleet.agent.worker import Workers
from fleet.wire import (
    DeploymentName,
    DesiredState,
    DeviceState,
    HealthCheck,
    Owner,
    Phase,
    Score,
    Service,
)

ONE = Slot(WEB, "one")
NEVER_S = 60.0


def desired(*services: Service, generation: int = 1) -> DesiredState:
    return DesiredState(Owner("uid", generation), Score(services, LIFECYCLE))


def one(image: str, does: str = "", ports: tuple[int, ...] = (), check: HealthCheck | None = None) -> Service:
    made = service("one", image, does=does, ports=ports)
    return Service(made.name, made.image, made.command, ports=made.ports, health_check=check)


class Device:
    """A fake runtime, the workers on it, and what they said."""

    def __init__(self, runtime: FakeRuntime, tick_s: float, last: dict[DeploymentName, DeviceState]) -> None:
        self.runtime = runtime
        self.podman = runtime.podman
        self.reports: list[DeviceState] = []
        self.gone: list[DeploymentName] = []
        self.workers = Workers(runtime, self._reported, self._gone, tick_s=tick_s, last=last)

    def _reported(self, _: DeploymentName, state: DeviceState) -> None:
        self.reports.append(state)
        self.runtime.stir()

    def _gone(self, name: DeploymentName) -> None:
        self.gone.append(name)
        self.runtime.stir()

    @property
    def said(self) -> list[tuple[str, int, str | None]]:
        return [(state.phase.value, state.owner.generation, state.last_error) for state in self.reports]

    async def runs(self, image: str, *, generation: int = 1) -> None:
        """Wait until only this runs, nothing else is there, and that was said."""

        def holds() -> bool:
            boxes = list(self.podman.boxes.values())
            right = [(b.spec.service.image, b.listed.state) for b in boxes] == [(image, ContainerState.RUNNING)]
            said = self.said[-1:] == [(Phase.RUNNING.value, generation, None)]
            return right and said and set(self.reports[-1].container_ids.values()) == {b.listed.id for b in boxes}

        await self.runtime.until(holds, f"{image} runs alone, and is reported; said: {self.said}")

    async def failed(self, error: str) -> None:
        await self.runtime.until(
            lambda: bool(self.said) and self.said[-1][0] == "Failed" and error in str(self.said[-1][2]), error
        )


@asynccontextmanager
async def device(
    runtime: FakeRuntime | None = None, *, tick_s: float = NEVER_S, last: DeviceState | None = None
) -> AsyncIterator[Device]:
    one = Device(runtime or FakeRuntime(), tick_s, {} if last is None else {WEB: last})
    task = asyncio.ensure_future(one.workers.run())
    try:
        yield one
    finally:
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (problem := task.exception()) is not None:
            raise problem
