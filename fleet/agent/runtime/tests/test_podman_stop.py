"""PodmanRuntime on a real podman: stopping, by the container's own signal and grace, whatever happens meanwhile."""

import asyncio
import signal

import pytest

from fleet.agent.model import ContainerState, Reason
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.runtime.tests.podmans import DEADLINE_S, Podman, needs_podman
from fleet.agent.runtime.tests.shop import (
    STUBBORN,
    refused,
    running,
    spec,
    state,
)

pytestmark = needs_podman


async def test_sigterm_that_is_heard_ends_it_at_once(runtime: PodmanRuntime) -> None:
    """Its own exit code is told, long before the grace is over."""
    async with running(runtime, spec(grace_s=3600)) as container_id:
        async with asyncio.timeout(DEADLINE_S):
            await runtime.stop(container_id)
        (container,) = await runtime.containers()
        assert (container.state, container.exit_code) == (ContainerState.EXITED, 0)


@pytest.mark.rule("A7")
@pytest.mark.parametrize("grace_s", [0, 1])
async def test_sigterm_that_is_ignored_is_followed_by_sigkill(runtime: PodmanRuntime, grace_s: int) -> None:
    """After its own grace, not podman's ten seconds."""
    async with running(runtime, spec(script=STUBBORN, grace_s=grace_s)) as container_id:
        began_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(8):
            await runtime.stop(container_id)
        assert asyncio.get_running_loop().time() - began_s >= grace_s
        (container,) = await runtime.containers()
        assert (container.state, container.exit_code) == (ContainerState.EXITED, 128 + signal.SIGKILL)


@pytest.mark.rule("A7")
async def test_its_own_signal_stops_it(runtime: PodmanRuntime) -> None:
    """What was baked in when it was made, here one by name and number."""
    script = "trap '' TERM; trap 'exit 7' USR2; echo up; while :; do /bin/busybox sleep 0.05; done"
    async with running(runtime, spec(script=script, stop_signal="SIGUSR2", grace_s=3600)) as container_id:
        async with asyncio.timeout(DEADLINE_S):
            await runtime.stop(container_id)
        (container,) = await runtime.containers()
        assert container.exit_code == 7


async def test_a_paused_container_is_stopped_by_its_own_signal(podman: Podman, runtime: PodmanRuntime) -> None:
    """Podman 4.3 refuses to; nobody has to come and unpause it."""
    async with running(runtime, spec(grace_s=3600)) as container_id:
        await podman.run("pause", container_id)
        assert await state(runtime) is ContainerState.OTHER
        async with asyncio.timeout(DEADLINE_S):
            await runtime.stop(container_id)
        (container,) = await runtime.containers()
        assert (container.state, container.exit_code) == (ContainerState.EXITED, 0)


async def test_a_container_that_runs_is_not_removed(podman: Podman, runtime: PodmanRuntime) -> None:
    """Nor is one that is being stopped: podman 4.3 would leave its process behind."""
    async with running(runtime, spec(script=STUBBORN, grace_s=3)) as container_id:
        await refused(runtime.remove(container_id), Reason.STOP_FAILED)
        stopping = asyncio.create_task(runtime.stop(container_id))
        async with asyncio.timeout(DEADLINE_S):
            while '"stopping"' not in await podman.run("inspect", container_id):
                pass
        assert await state(runtime) is ContainerState.RUNNING
        await refused(runtime.remove(container_id), Reason.STOP_FAILED)
        await stopping
        await runtime.remove(container_id)


async def test_a_stop_survives_that_the_container_ends_meanwhile(podman: Podman, runtime: PodmanRuntime) -> None:
    """Somebody else kills it while its grace runs."""
    async with running(runtime, spec(script=STUBBORN, grace_s=3600)) as container_id:
        stopping = asyncio.create_task(runtime.stop(container_id))
        async with asyncio.timeout(DEADLINE_S):
            while '"stopping"' not in await podman.run("inspect", container_id):
                pass
            await podman.run("kill", "--signal", "KILL", container_id)
            await stopping
        assert await state(runtime) is ContainerState.EXITED


async def test_a_stop_that_lost_its_podman_is_taken_up_again(podman: Podman, runtime: PodmanRuntime) -> None:
    """RuntimeAway at once; the next podman lists it as running, and stops it with its own grace."""
    async with running(runtime, spec(script=STUBBORN, grace_s=2)) as container_id:
        stopping = asyncio.create_task(runtime.stop(container_id))
        async with asyncio.timeout(DEADLINE_S):
            while '"stopping"' not in await podman.run("inspect", container_id):
                pass
        await podman.kill()
        with pytest.raises(RuntimeAway):
            await stopping
        with pytest.raises(RuntimeAway):
            await runtime.containers()
        await podman.restart()
        assert await state(runtime) is ContainerState.RUNNING
        await runtime.stop(container_id)
        assert await state(runtime) is ContainerState.EXITED
