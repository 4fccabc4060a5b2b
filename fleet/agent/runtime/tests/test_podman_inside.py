"""PodmanRuntime on a real podman: logs, and commands inside a container."""

import asyncio
from functools import partial

import pytest

from fleet.agent.model import ContainerState, Reason
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.tests.podmans import DEADLINE_S, needs_podman
from fleet.agent.runtime.tests.shop import (
    BYTES_MAX,
    gone,
    refused,
    run_in,
    running,
    shell,
    spec,
    state,
)

pytestmark = needs_podman


async def test_logs_are_the_last_lines_of_both_streams(runtime: PodmanRuntime) -> None:
    """Bounded in lines and in bytes, from the end."""
    script = "for i in 1 2 3 4 5; do echo out$i; echo err$i >&2; done; echo up; exec /bin/busybox sleep 1000"
    async with running(runtime, spec(script=script, stop_signal="SIGKILL")) as container_id:
        whole = await runtime.logs(container_id, tail_lines=100, bytes_max=BYTES_MAX)
        assert sorted(whole.split()) == sorted(
            [*(f"{stream}{i}".encode() for stream in ("out", "err") for i in range(1, 6)), b"up"]
        )
        assert await runtime.logs(container_id, tail_lines=1, bytes_max=BYTES_MAX) == whole.splitlines(True)[-1]
        assert await runtime.logs(container_id, tail_lines=100, bytes_max=10) == whole[-10:]


async def test_a_container_that_never_ran_has_an_empty_log(runtime: PodmanRuntime) -> None:
    """One that is not there has none: that is an error."""
    container_id = await runtime.create(spec())
    try:
        assert await runtime.logs(container_id, tail_lines=10, bytes_max=BYTES_MAX) == b""
    finally:
        await gone(runtime, container_id)
    await refused(runtime.logs(container_id, tail_lines=10, bytes_max=BYTES_MAX), Reason.EXITED)


async def test_a_command_tells_code_and_output(runtime: PodmanRuntime) -> None:
    """A program that is not there is 127, as in a shell; output beyond the bound is cut, and the code still told."""
    async with running(runtime, spec()) as container_id:
        done = await runtime.execute(
            container_id, shell("echo out; echo err >&2; exit 3"), timeout_s=DEADLINE_S, bytes_max=BYTES_MAX
        )
        assert (done.exit_code, sorted(done.output.split()), done.truncated) == (3, [b"err", b"out"], False)
        done = await runtime.execute(container_id, ["/not-there"], timeout_s=DEADLINE_S, bytes_max=BYTES_MAX)
        assert done.exit_code == 127
        assert b"/not-there" in done.output
        flood = shell("/bin/busybox yes | /bin/busybox head -c 3000000; exit 4")
        done = await runtime.execute(container_id, flood, timeout_s=DEADLINE_S, bytes_max=1000)
        assert (done.exit_code, len(done.output), done.truncated) == (4, 1000, True)


async def test_a_command_that_takes_too_long_is_killed_with_its_children(runtime: PodmanRuntime) -> None:
    """The container lives on."""
    async with running(runtime, spec()) as container_id:
        slow = shell("/bin/busybox sleep 4711 & /bin/busybox sleep 4711; echo never")
        with pytest.raises(TimeoutError, match="did not end within"):
            await runtime.execute(container_id, slow, timeout_s=1.0, bytes_max=BYTES_MAX)
        left = "while /bin/busybox ps | /bin/busybox grep -q '[4]711'; do :; done"
        await run_in(runtime, container_id, left)
        assert await state(runtime) is ContainerState.RUNNING


async def test_a_command_whose_caller_left_is_killed(runtime: PodmanRuntime) -> None:
    """Cancelled half-way."""
    async with running(runtime, spec()) as container_id:
        call = asyncio.create_task(
            runtime.execute(
                container_id, shell("/bin/busybox sleep 4712; echo never"), timeout_s=DEADLINE_S, bytes_max=BYTES_MAX
            )
        )
        await run_in(runtime, container_id, "until /bin/busybox ps | /bin/busybox grep -q '[4]712'; do :; done")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await run_in(runtime, container_id, "while /bin/busybox ps | /bin/busybox grep -q '[4]712'; do :; done")


async def test_no_command_runs_where_nothing_runs(runtime: PodmanRuntime) -> None:
    """Whether the container is there and stopped, or not there at all."""
    container_id = await runtime.create(spec())
    execute = partial(runtime.execute, container_id, ["/x"], timeout_s=DEADLINE_S, bytes_max=BYTES_MAX)
    await refused(execute(), Reason.EXITED)
    await gone(runtime, container_id)
    await refused(execute(), Reason.EXITED)
