"""PodmanRuntime on a real podman: what cannot be had is said by its reason."""

import socket
from pathlib import Path

import pytest

from fleet.agent.model import ContainerState, Reason, container_name
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.tests.podmans import IMAGE, Podman, needs_podman
from fleet.agent.runtime.tests.shop import POLITE, gone, refused, running, shell, spec, state
from fleet.wire import (
    DeviceId,
    Port,
    PullPolicy,
    Service,
    Volume,
)

pytestmark = needs_podman


async def test_a_bind_mount_without_its_source_is_refused_when_it_is_made(
    runtime: PodmanRuntime, tmp_path: Path
) -> None:
    """Nothing is created in its place, on the device or in podman."""
    source = tmp_path / "not-there"
    service = Service("web", IMAGE, shell(POLITE), volumes=(Volume(str(source), "/data"),))
    words = await refused(runtime.create(spec(service)), Reason.CREATE_FAILED)
    assert words == f"volume source {source} is not there on this device; create it, or name a volume"
    assert not source.exists()
    assert await runtime.containers() == []


async def test_a_port_that_somebody_else_has_is_named(podman: Podman, runtime: PodmanRuntime) -> None:
    """PortTaken at start; once it is free the same container starts."""
    with podman.inside(lambda: socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        wanted = spec(Service("web", IMAGE, shell(POLITE), ports=(Port(80, port),)))
        container_id = await runtime.create(wanted)
        words = await refused(runtime.start(container_id), Reason.PORT_TAKEN)
        assert f"{port}/TCP" in words
    try:
        await runtime.start(container_id)
        assert await state(runtime) is ContainerState.RUNNING
    finally:
        await gone(runtime, container_id)


async def test_a_name_that_a_stranger_has_is_left_to_it(
    podman: Podman, runtime: PodmanRuntime, device: DeviceId
) -> None:
    """NameTaken; the stranger stays, and is not listed."""
    name = container_name(device, spec())
    stranger = (await podman.run("create", "--name", name, IMAGE, *shell(POLITE))).strip()
    try:
        assert name in await refused(runtime.create(spec()), Reason.NAME_TAKEN)
        assert await runtime.containers() == []
        assert stranger in await podman.run("ps", "--all", "--no-trunc", "--quiet")
    finally:
        await gone(runtime, stranger)


@pytest.mark.parametrize(
    ("image", "policy", "reason"),
    [
        ("localhost/nobody-made-it:1", PullPolicy.NEVER, Reason.IMAGE_MISSING),
        # Nothing listens on that port.
        ("127.0.0.1:9/nobody/made:1", PullPolicy.IF_NOT_PRESENT, Reason.IMAGE_PULL_FAILED),
        ("NOT%20an?image#", PullPolicy.IF_NOT_PRESENT, Reason.IMAGE_PULL_FAILED),
        ("oci:/etc", PullPolicy.IF_NOT_PRESENT, Reason.IMAGE_PULL_FAILED),
    ],
)
async def test_an_image_that_cannot_be_had_is_said(
    runtime: PodmanRuntime, image: str, policy: PullPolicy, reason: Reason
) -> None:
    """By its name, though podman answers 200."""
    wanted = spec(Service("web", image, image_pull_policy=policy))
    assert image in await refused(runtime.prepare(wanted), reason)


async def test_always_asks_the_registry_though_the_image_is_there(runtime: PodmanRuntime) -> None:
    """And an image that is there satisfies the two other policies, without a registry."""
    for policy in (PullPolicy.IF_NOT_PRESENT, PullPolicy.NEVER):
        await runtime.prepare(spec(Service("web", IMAGE, image_pull_policy=policy)))
    always = spec(Service("web", IMAGE, image_pull_policy=PullPolicy.ALWAYS))
    await refused(runtime.prepare(always), Reason.IMAGE_PULL_FAILED)


async def test_a_create_without_its_image_says_so(runtime: PodmanRuntime) -> None:
    """Somebody may remove it between the two calls."""
    wanted = spec(Service("web", "localhost/nobody-made-it:1"))
    await refused(runtime.create(wanted), Reason.IMAGE_MISSING)


async def test_a_program_that_is_not_there_fails_the_start(podman: Podman, runtime: PodmanRuntime) -> None:
    """The container can be removed as any other; its port is free at once, though podman itself would hold it on."""
    ports = (Port(80, podman.free_port()),)
    container_id = await runtime.create(spec(Service("web", IMAGE, ("/not-there",), ports=ports)))
    for _ in range(2):
        assert "/not-there" in await refused(runtime.start(container_id), Reason.START_FAILED)
    await runtime.remove(container_id)
    assert await runtime.containers() == []
    async with running(runtime, spec(Service("web", IMAGE, shell(POLITE), ports=ports))):
        assert await state(runtime) is ContainerState.RUNNING
