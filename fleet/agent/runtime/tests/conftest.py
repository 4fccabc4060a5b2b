"""A real podman for all of these tests, and a runtime of its own device for each."""

import itertools
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.agent import ports
from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.runtime.tests.podmans import Podman
from fleet.wire import DeviceId, device_id

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
async def podman() -> AsyncIterator[Podman]:
    # Not pytest's own folder: a socket's path has at most 107 bytes.
    podman = Podman(Path(tempfile.mkdtemp(prefix="fleet-podman-")))
    try:
        await podman.start()
        yield podman
    finally:
        await podman.close()


@pytest.fixture
def device() -> DeviceId:
    return device_id(f"device-{next(_NUMBERS)}.test")


@pytest.fixture
def runtime(podman: Podman, device: DeviceId, monkeypatch: pytest.MonkeyPatch) -> PodmanRuntime:
    """It looks for free ports where its podman binds them."""
    monkeypatch.setattr("fleet.agent.runtime.podman.taken", lambda asked: podman.inside(lambda: ports.taken(asked)))
    return PodmanRuntime(podman.socket, device)
