"""Real binaries, a warden, a recorder and a Kubernetes API for the tests of the harness's services; fake programs."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from harness.history import Recorder
from harness.leaks import LeakAudit
from harness.services.device_host import DeviceHost
from harness.services.gate import Gate
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin
from harness.services.payload_storage import make_storage
from harness.services.warden import Warden
from harness.tests.probed import MARK, FakeProgram
from harness.tests.samples import CRDS, device
from harness.toolchain import ETCD, KUBE_APISERVER, NATS_SERVER, TOXIPROXY_SERVER, Toolchain


class NewHost(Protocol):
    """Boots a device host with the payload images; the test's end ends it."""

    async def __call__(self, name: str = "device-1", nats_address: str | None = None) -> DeviceHost: ...


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    return Toolchain()


@pytest.fixture(scope="session")
def nats_binary(toolchain: Toolchain) -> Path:
    return toolchain.ensure(NATS_SERVER)


@pytest.fixture(scope="session")
def toxiproxy_binary(toolchain: Toolchain) -> Path:
    return toolchain.ensure(TOXIPROXY_SERVER)


@pytest.fixture(scope="session")
def warden() -> Iterator[Warden]:
    with Warden() as warden:
        yield warden
        assert not warden.registered_pids
        assert not warden.registered_folders
        assert not warden.registered_things


@pytest.fixture(scope="session")
async def payload_storage(warden: Warden) -> AsyncIterator[Path]:
    """What a device host begins with: podman's storage with the payload images."""
    folder = warden.temp_folder("fleetproof-payload-")
    try:
        yield await make_storage(folder, warden=warden)
    finally:
        warden.remove_folder(folder)


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "history.jsonl")
    yield recorder
    recorder.close()


@pytest.fixture
async def new_host(payload_storage: Path, tmp_path: Path, warden: Warden, recorder: Recorder) -> AsyncIterator[NewHost]:
    """Makes hosts; after the test nothing is left of them."""
    audit = LeakAudit(warden)
    await audit.before()
    async with AsyncExitStack() as stack:

        async def make(name: str = "device-1", nats_address: str | None = None) -> DeviceHost:
            host = await DeviceHost.start(
                name,
                logs=tmp_path,
                warden=warden,
                storage=payload_storage,
                nats_address=nats_address,
                recorder=recorder,
            )
            stack.push_async_callback(host.close)
            return host

        yield make
    await audit.check()


@pytest.fixture
async def host(new_host: NewHost) -> DeviceHost:
    return await new_host()


@pytest.fixture(scope="session")
async def kube(toolchain: Toolchain, warden: Warden) -> AsyncIterator[KubeCluster]:
    """One API server for all of this worker's tests; a test has a namespace of its own."""
    folder = warden.temp_folder("fleetproof-kube-")
    try:
        cluster = await KubeCluster.start(
            toolchain.ensure(ETCD), toolchain.ensure(KUBE_APISERVER), folder, warden=warden
        )
        try:
            yield cluster
        finally:
            await cluster.stop()
    finally:
        warden.remove_folder(folder)


@pytest.fixture
async def admin(kube: KubeCluster) -> AsyncIterator[KubeAdmin]:
    async with kube.admin() as admin:
        yield admin


@pytest.fixture
async def pi_namespace(admin: KubeAdmin) -> AsyncIterator[str]:
    """A namespace with one device, `pi`."""
    await admin.apply_crds(CRDS)
    name = f"pi-{secrets.token_hex(4)}"
    await admin.create_namespace(name)
    await admin.create("devices", name, device("pi"))
    yield name
    await admin.delete_namespace(name)


@pytest.fixture
async def gate(kube: KubeCluster, recorder: Recorder) -> AsyncIterator[Gate]:
    async with Gate(kube.url, kube.ca_pem, recorder) as gate:
        yield gate


@pytest.fixture
async def through(kube: KubeCluster, gate: Gate) -> AsyncIterator[KubeAdmin]:
    """A client that knows the gate only."""
    async with KubeAdmin(gate.url, gate.ca_pem, kube.token("admin")) as client:
        yield client


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProgram:
    """Makes shell scripts; they are all that is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", os.fspath(folder))

    def make(name: str, script: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return make


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """Every process started from here on carries it in its environment."""
    value = secrets.token_hex(8)
    monkeypatch.setenv(MARK, value)
    return f"{MARK}={value}"
