"""An object that is being deleted is taken at its word, also when its definition goes and all others with it."""

from fleet.kube.client import KubeClient
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def none(_: KubeClient) -> tuple[str, ...]:
        return ()

    KubeClient.definitions_going = none  # type: ignore[method-assign, assignment] # the point of a defect


DEFINITIONS_UNASKED = Defect(
    name="definitions-unasked",
    shape="crds-reinstalled",
    case="up",
    check="fleet-kept",
    story="A finalizer was held for an administrator's word. Somebody replaced the CRDs to change a column; the API "
    "server deleted every object, the operator let them go one by one, and their keys with them.",
    patch=_patch,
)
