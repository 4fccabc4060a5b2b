"""Probes of container engines: docker's daemon answers; podman runs a container where an agent is tested."""

import asyncio
from pathlib import Path
from typing import Final

from harness.capability.attempt import reason_of, run
from harness.capability.model import Available, Capability, ProbeResult, Unavailable
from harness.errors import HarnessError
from harness.services import payload_images
from harness.services.device_host import ENABLE, DeviceHost
from harness.services.payload_storage import make_storage
from harness.services.warden import Warden

_DEADLINE_S: Final = 10.0
_DETAIL_CHARS_MAX: Final = 400


def docker() -> ProbeResult:
    """The daemon behind the client's current context says its version."""
    ended = run(["docker", "version", "--format", "{{.Server.Version}}"], deadline_s=_DEADLINE_S)
    return Available(f"daemon {ended.output}") if ended.code == 0 else ended.refusal()


def podman() -> ProbeResult:
    """A container with a published port runs on a device host."""
    # Asked for by name first: later their absence would be one more exit code.
    version = run(["podman", "--version"], deadline_s=_DEADLINE_S)
    if version.code != 0:
        return version.refusal()
    for program in ("runc", "conmon", "iptables", "ip", "nsenter", "busybox"):
        run([program, "--help"], deadline_s=_DEADLINE_S)
    try:
        with Warden() as warden:
            folder = warden.temp_folder("fleetproof-probe-")
            asyncio.run(_run_container(folder, warden))
            warden.remove_folder(folder)
    except HarnessError as e:
        return Unavailable(reason_of(str(e)), f"{e}"[:_DETAIL_CHARS_MAX])
    return Available(f"a container ran, {version.output}")


async def _run_container(folder: Path, warden: Warden) -> None:
    """Raises HarnessError."""
    storage = await make_storage(folder, warden=warden)
    host = await DeviceHost.start("probe", logs=folder, warden=warden, storage=storage)
    try:
        image = payload_images.image(payload_images.VERSIONS[0])
        await host.podman("run", "--rm", "--publish=8080:80", image, "exit", "0")
    finally:
        await host.close()


DOCKER: Final = Capability(
    name="docker",
    title="the docker daemon answers",
    used_for="environments from containers",
    enable="apt-get install docker.io, start dockerd, and join the group docker",
    probe=docker,
)
PODMAN: Final = Capability(
    name="podman",
    title="podman runs a container in namespaces of our own",
    used_for="an agent that runs real containers on this machine",
    enable=ENABLE,
    probe=podman,
)
