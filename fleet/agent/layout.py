"""Where the agent's own files are: all below one root, so that several agents can live on one machine. Pure."""

from dataclasses import dataclass
from pathlib import Path

from fleet.wire import DeploymentName


@dataclass(frozen=True, slots=True)
class Layout:
    """`root` is FLEET_ROOT: `/` on a device."""

    root: Path

    @property
    def state(self) -> Path:
        return self.root / "var/lib/fleet-agent"

    @property
    def device_lock(self) -> Path:
        return self.state / "device.lock"

    @property
    def deployments(self) -> Path:
        return self.state / "deployments"

    def desired(self, deployment: DeploymentName) -> Path:
        """What the device is to run for it, or that it was deleted. A deployment's name holds no dot."""
        return self.deployments / f"{deployment}.desired"

    def report(self, deployment: DeploymentName) -> Path:
        return self.deployments / f"{deployment}.report"
