"""Whether a container is the right one is told by its image alone."""

import hashlib
from dataclasses import replace

from fleet.agent import worker
from fleet.agent.model import ServiceSpec, spec_of
from fleet.wire import DeploymentName, Lifecycle, Service
from scenarios.defects.defect import Defect


def _patch() -> None:
    def by_image(deployment: DeploymentName, service: Service, lifecycle: Lifecycle) -> ServiceSpec:
        digest = hashlib.sha256(service.image.encode()).hexdigest()[:16]
        return replace(spec_of(deployment, service, lifecycle), digest=digest)

    worker.spec_of = by_image  # type: ignore[attr-defined] # the name that it imported, not the function


IMAGE_ALONE_COMPARED = Defect(
    name="image-alone-compared",
    part="agent",
    shape="roll-forward",
    case="env",
    check="made-as-desired",
    story="A new version was a new image. Who turned a feature on by an env saw the deployment as succeeded on all "
    "devices, and the feature on none.",
    patch=_patch,
)
