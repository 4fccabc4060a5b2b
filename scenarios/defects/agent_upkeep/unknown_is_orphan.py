"""Containers of deployments that an agent knows nothing of are removed."""

from fleet.agent.worker import Workers
from scenarios.defects.defect import Defect


def _patch() -> None:
    looked = Workers._looked

    def swept(self: Workers) -> None:
        for container in self._observer.containers:
            if container.slot.deployment not in self._deployments:
                self.set(container.slot.deployment, None)
        looked(self)

    Workers._looked = swept  # type: ignore[method-assign] # the point of a defect


UNKNOWN_IS_ORPHAN = Defect(
    name="unknown-is-orphan",
    shape="power-loss",
    case="empty-disk-broker-away",
    check="untouched",
    story="At its start the agent removed what it had no desired state for. A disk was replaced by one from a clone "
    "without the agent's files; until the broker was reached, everything that the device ran was stopped.",
    patch=_patch,
    part="agent",
)
