"""A service of a shop, and a container of it that ran a moment ago."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fleet.agent.model import ContainerState, Reason, ServiceSpec, spec_of
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.protocol import RuntimeTrouble
from fleet.agent.runtime.tests.podmans import BUSYBOX, DEADLINE_S, IMAGE
from fleet.wire import (
    Lifecycle,
    Service,
    deployment_name,
)

POLITE = "trap 'exit 0' TERM; echo up; while :; do /bin/busybox sleep 0.05; done"
STUBBORN = "trap '' TERM; echo up; while :; do /bin/busybox sleep 0.05; done"
BYTES_MAX = 65536


def shell(script: str) -> tuple[str, ...]:
    return (BUSYBOX, "sh", "-c", script)


def spec(
    service: Service | None = None, *, script: str = POLITE, grace_s: int = 10, stop_signal: str = "SIGTERM"
) -> ServiceSpec:
    service = service or Service("web", IMAGE, shell(script))
    return spec_of(deployment_name("shop"), service, Lifecycle(stop_signal, grace_s))


@asynccontextmanager
async def running(runtime: PodmanRuntime, wanted: ServiceSpec) -> AsyncIterator[str]:
    """A started container that has said `up`; killed and removed in the end."""
    container_id = await runtime.create(wanted)
    try:
        await runtime.start(container_id)
        async with asyncio.timeout(DEADLINE_S):
            while b"up\n" not in await runtime.logs(container_id, tail_lines=100, bytes_max=BYTES_MAX):
                pass
        yield container_id
    finally:
        await gone(runtime, container_id)


async def gone(runtime: PodmanRuntime, container_id: str) -> None:
    await runtime._remove(container_id, force=True)


async def run_in(runtime: PodmanRuntime, container_id: str, script: str) -> str:
    done = await runtime.execute(container_id, shell(script), timeout_s=DEADLINE_S, bytes_max=BYTES_MAX)
    assert done.exit_code == 0, done
    return done.output.decode()


async def state(runtime: PodmanRuntime) -> ContainerState:
    (container,) = await runtime.containers()
    return container.state


async def refused(call: object, reason: Reason) -> str:
    with pytest.raises(RuntimeTrouble) as caught:
        await call  # type: ignore[misc]  # any of the runtime's coroutines
    assert caught.value.reason is reason, str(caught.value)
    return str(caught.value)
