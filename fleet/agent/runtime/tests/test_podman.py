"""PodmanRuntime on a real podman: what it makes, that each call may be repeated, and what it tells of changes."""

import asyncio
import json
import socket
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from fleet.agent.model import ContainerState, Reason
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.runtime.tests.podmans import DEADLINE_S, IMAGE, Podman, needs_podman
from fleet.agent.runtime.tests.shop import (
    BYTES_MAX,
    POLITE,
    gone,
    refused,
    run_in,
    running,
    shell,
    spec,
    state,
)
from fleet.wire import (
    DeviceId,
    EnvVar,
    Port,
    Resources,
    Service,
    Volume,
)

pytestmark = needs_podman


async def test_every_step_may_be_repeated_and_the_id_stays(runtime: PodmanRuntime) -> None:
    """Create, start, stop and remove, each of them twice."""
    wanted = spec()
    for _ in range(2):
        await runtime.prepare(wanted)
    first, second = await runtime.create(wanted), await runtime.create(wanted)
    assert first == second
    assert await state(runtime) is ContainerState.CREATED
    for _ in range(2):
        await runtime.start(first)
        assert await state(runtime) is ContainerState.RUNNING
    for _ in range(2):
        await runtime.stop(first)
        assert await state(runtime) is ContainerState.EXITED
    await runtime.start(first)
    (container,) = await runtime.containers()
    assert (container.id, container.slot, container.digest) == (first, wanted.slot, wanted.digest)
    await runtime.stop(first)
    for _ in range(2):
        await runtime.remove(first)
        assert await runtime.containers() == []
    await runtime.stop(first)
    await refused(runtime.start(first), Reason.START_FAILED)


@pytest.mark.rule("A2")
async def test_a_device_sees_its_own_containers_only(podman: Podman, runtime: PodmanRuntime) -> None:
    """Two agents may share one podman."""
    other = PodmanRuntime(podman.socket, DeviceId("another-device"))
    wanted = spec()
    mine, its = await runtime.create(wanted), await other.create(wanted)
    try:
        assert [c.id for c in await runtime.containers()] == [mine]
        assert [c.id for c in await other.containers()] == [its]
    finally:
        await gone(runtime, mine)
        await gone(other, its)


async def test_command_env_volumes_and_mounts_are_as_told(
    podman: Podman, runtime: PodmanRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arguments are not split, of the service's environment nothing is there, read-only is, a volume outlives it."""
    monkeypatch.setenv("SECRET_OF_THE_AGENT", "x")
    (tmp_path / "ro").mkdir()
    (tmp_path / "rw").mkdir()
    (tmp_path / "ro" / "told").write_text("hello")
    service = Service(
        "web",
        IMAGE,
        (*shell('echo up; echo "$0|$1"; exec /bin/busybox sleep 1000'), "a b", "$HOME"),
        env=(EnvVar("MODE", "prod mode"), EnvVar("EMPTY", "")),
        volumes=(
            Volume(str(tmp_path / "ro"), "/ro", read_only=True),
            Volume(str(tmp_path / "rw"), "/rw"),
            Volume("shop-data", "/data"),
        ),
    )
    async with running(runtime, spec(service, stop_signal="SIGKILL")) as container_id:
        assert await runtime.logs(container_id, tail_lines=10, bytes_max=BYTES_MAX) == b"up\na b|$HOME\n"
        env = await run_in(runtime, container_id, "/bin/busybox env")
        assert "MODE=prod mode\n" in env
        assert "EMPTY=\n" in env
        assert "SECRET" not in env
        script = (
            "read x < /ro/told; echo $x; echo y > /rw/z; echo kept > /data/k; (echo n > /ro/n) 2>/x || echo refused"
        )
        said = await run_in(runtime, container_id, script)
        assert (said.splitlines()[0], said.splitlines()[-1]) == ("hello", "refused")
        assert (tmp_path / "rw" / "z").read_text() == "y\n"
    again = spec(replace(service, env=()), stop_signal="SIGKILL")
    async with running(runtime, again) as container_id:
        assert await run_in(runtime, container_id, "read x < /data/k; echo $x") == "kept\n"
    await podman.run("volume", "rm", "shop-data")


async def test_published_ports_are_reached_on_loopback(podman: Podman, runtime: PodmanRuntime) -> None:
    """TCP; and what podman lists of neighbours, which it joins, is told apart again."""
    tcp = podman.free_port()
    script = "echo up; exec /bin/busybox nc -ll -p 80 -e /bin/busybox echo hello"
    ports = (Port(80, tcp), Port(5353, tcp, "UDP"))
    service = Service("web", IMAGE, shell(script), ports=ports)
    async with running(runtime, spec(service, stop_signal="SIGKILL")) as container_id:
        (container,) = await runtime.containers()
        assert container.host_ports == {(tcp, "TCP"), (tcp, "UDP")}
        await run_in(runtime, container_id, "until /bin/busybox netstat -tln | /bin/busybox grep -q :80; do :; done")
        client = podman.inside(lambda: socket.create_connection(("127.0.0.1", tcp), DEADLINE_S))
        client.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            async with asyncio.timeout(DEADLINE_S):
                assert await reader.readline() == b"hello\n"
        finally:
            writer.transport.abort()


async def test_limits_hold_and_default_to_none(runtime: PodmanRuntime, podman: Podman) -> None:
    """CPU, and memory without swap on top."""
    service = Service("web", IMAGE, shell(POLITE), resources=Resources(cpu_millis=250, memory_bytes=32 * 1024 * 1024))
    async with running(runtime, spec(service)) as container_id:
        (found,) = json.loads(await podman.run("inspect", container_id))
        limits = found["HostConfig"]
        assert limits["NanoCpus"] == 250_000_000
        assert (limits["Memory"], limits["MemorySwap"]) == (32 * 1024 * 1024, 32 * 1024 * 1024)
    async with running(runtime, spec()) as container_id:
        (found,) = json.loads(await podman.run("inspect", container_id))
        assert (found["HostConfig"]["NanoCpus"], found["HostConfig"]["Memory"]) == (0, 0)


async def test_changes_tell_of_each_step(runtime: PodmanRuntime) -> None:
    """The first item when it listens; then of each change."""
    async with asyncio.timeout(DEADLINE_S), aclosing(runtime.changes()) as changes:
        await anext(changes)
        async with running(runtime, spec()) as container_id:
            await anext(changes)  # created
            await anext(changes)  # started
            await runtime.stop(container_id)
            await anext(changes)  # died; podman says that it was stopped as well, if nobody cleaned up before it
            await runtime.remove(container_id)
            await anext(changes)


async def test_changes_of_another_device_and_commands_inside_are_none(podman: Podman, runtime: PodmanRuntime) -> None:
    """They come to whom they concern; here nothing comes meanwhile."""
    other = PodmanRuntime(podman.socket, DeviceId("another-device"))
    async with (
        asyncio.timeout(DEADLINE_S),
        running(runtime, spec()) as container_id,
        aclosing(runtime.changes()) as mine,
        aclosing(other.changes()) as its,
    ):
        await anext(mine)
        await anext(its)
        change = asyncio.ensure_future(anext(mine))
        await run_in(runtime, container_id, "exit 0")
        for _ in range(3):
            made = await other.create(spec())
            await anext(its)
            await gone(other, made)
            await anext(its)
        assert not change.done()
        await runtime.stop(container_id)
        await change


async def test_changes_end_when_podman_does(podman: Podman, runtime: PodmanRuntime) -> None:
    """RuntimeAway, and again while it is away; then they go on."""
    async with asyncio.timeout(DEADLINE_S):
        changes = runtime.changes()
        await anext(changes)
        await podman.kill()
        for stream in (changes, runtime.changes()):
            with pytest.raises(RuntimeAway):
                await anext(stream)
        await podman.restart()
        async with aclosing(runtime.changes()) as again:
            await anext(again)
