"""A desired state is written to the disk when the next one comes."""

from fleet.agent.store import Store
from fleet.wire import DeploymentName
from scenarios.defects.defect import Defect


def _patch() -> None:
    keep = Store.keep_desired
    held: dict[DeploymentName, bytes] = {}

    def late(self: Store, name: DeploymentName, data: bytes) -> None:
        if name in held:
            keep(self, name, held[name])
        held[name] = data

    Store.keep_desired = late  # type: ignore[method-assign] # the point of a defect


WRITTEN_LATE = Defect(
    name="written-late",
    shape="killed-mid-roll",
    case="then-without-broker",
    check="started-once",
    story="To spare the flash the agent acted on a desired state first and wrote it down with the next one. A device "
    "whose agent crashed in a roll while its network was away went back to the version before, by itself.",
    patch=_patch,
    part="agent",
)
