"""Probes of container engines: the engine answers. That a container runs is for whoever brings an image to prove."""

from typing import Final

from harness.capability.attempt import run
from harness.capability.model import Available, Capability, ProbeResult

_DEADLINE_S: Final = 10.0


def docker() -> ProbeResult:
    """The daemon behind the client's current context says its version."""
    ended = run(["docker", "version", "--format", "{{.Server.Version}}"], deadline_s=_DEADLINE_S)
    return Available(f"daemon {ended.output}") if ended.code == 0 else ended.refusal()


def podman() -> ProbeResult:
    """Podman can read its storage and finds its runtime."""
    fields = "{{.Version.Version}}, runtime {{.Host.OCIRuntime.Name}}, cgroups {{.Host.CgroupsVersion}}"
    ended = run(["podman", "info", "--format", fields], deadline_s=_DEADLINE_S)
    # Warnings come first.
    return Available(ended.output.splitlines()[-1]) if ended.code == 0 and ended.output else ended.refusal()


DOCKER: Final = Capability(
    name="docker",
    title="the docker daemon answers",
    used_for="environments from containers",
    enable="apt-get install docker.io, start dockerd, and join the group docker",
    probe=docker,
)
PODMAN: Final = Capability(
    name="podman",
    title="podman answers",
    used_for="an agent that runs real containers on this machine",
    enable="apt-get install podman",
    probe=podman,
)
