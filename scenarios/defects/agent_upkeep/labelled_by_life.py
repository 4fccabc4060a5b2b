"""The containers of another life of the agent are not its own."""

import os

from fleet.agent import model, worker
from fleet.agent.model import ServiceSpec
from fleet.wire import DeploymentName, Lifecycle, Service
from scenarios.defects.defect import Defect


def _patch() -> None:
    made = model.spec_of

    def of_this_life(deployment: DeploymentName, service: Service, lifecycle: Lifecycle) -> ServiceSpec:
        spec = made(deployment, service, lifecycle)
        return ServiceSpec(spec.deployment, spec.service, spec.lifecycle, f"{spec.digest[:8]}{os.getpid():08x}")

    worker.spec_of = of_this_life  # type: ignore[attr-defined] # the name that it imported, not the function


LABELLED_BY_LIFE = Defect(
    name="labelled-by-life",
    shape="ticks-idempotent",
    case="agent-killed",
    check="untouched",
    story="Containers were labelled with the id of the agent's instance, and only those of one's own instance were "
    "adopted. So each update of the agent restarted every container of the fleet, all in the same minute.",
    patch=_patch,
    part="agent",
)
