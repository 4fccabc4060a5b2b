"""A container off its network and on it again, by the daemon's word; where there is no daemon, a typed line says so."""

import contextlib
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO

import pytest

from harness.capability import Unavailable, probe_all
from harness.devices.tests.broker import Broker
from harness.env import Foundation
from harness.faults.docker_network import CAPABILITY, DockerNetworkDisconnect
from harness.faults.fault import strike
from harness.faults.tests.links import PROVED, proved_without_teeth, struck
from harness.history import Fault as FaultRecord

IMAGE, CONTAINER, NETWORK = "fleetproof-test", "fleetproof-test-box", "fleetproof-test-net"


def docker(*arguments: str, told: bytes | None = None) -> None:
    program = shutil.which("docker")
    assert program is not None
    subprocess.run([program, *arguments], input=told, check=True, capture_output=True, timeout=60)  # noqa: S603 - our own


@pytest.fixture
def box(foundation: Foundation) -> Iterator[str]:
    """A container that runs, on a network of its own: one static program and nothing else."""
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(foundation.nats_binary, "nats-server")
    try:
        docker("import", "-", IMAGE, told=archive.getvalue())
        docker("network", "create", NETWORK)
        docker("run", "--detach", "--name", CONTAINER, "--network", NETWORK, IMAGE, "/nats-server")
        yield CONTAINER
    finally:
        for undo in (("rm", "--force", CONTAINER), ("network", "rm", NETWORK), ("image", "rm", IMAGE)):
            # What was never made cannot be removed.
            with contextlib.suppress(subprocess.CalledProcessError):
                docker(*undo)


@pytest.mark.needs(CAPABILITY)
async def test_off_and_on_again(broker: Broker, box: str) -> None:
    """As often as it is done; without teeth it is not proved."""
    fault = DockerNetworkDisconnect(box, NETWORK)
    assert await struck(broker, fault) == PROVED
    assert await struck(broker, fault) == PROVED
    assert not await proved_without_teeth(broker, fault)


@pytest.mark.needs(CAPABILITY)
async def test_closed_without_a_heal(broker: Broker, box: str) -> None:
    """The container is back on its network."""
    fault = DockerNetworkDisconnect(box, NETWORK)
    await strike(fault, broker.recorder)
    await fault.close()
    await fault.close()
    assert "has 1" in await fault.prove_healed()


async def test_without_a_daemon(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing stands in the history, with its type; nothing else is tried."""
    if not isinstance(probe_all([CAPABILITY])[CAPABILITY], Unavailable):
        monkeypatch.setattr(DockerNetworkDisconnect, "available", lambda _: "not-running: nobody answers")
    fault = DockerNetworkDisconnect("box", "net")
    await strike(fault, broker.recorder)
    told = broker.recorder.history().of(FaultRecord)
    assert [record.event for record in told] == ["applied", "unproved"]
    assert "not available here" in told[-1].detail
    await fault.close()
