"""Of a deployment that is deleted the desired state goes from the disk, and its last report stays."""

from fleet.agent.store import Store
from fleet.wire import DeploymentName
from scenarios.defects.defect import Defect


def _patch() -> None:
    def only_the_desired(self: Store, name: DeploymentName) -> None:
        self._layout.desired(name).unlink(missing_ok=True)

    Store.forget = only_the_desired  # type: ignore[method-assign] # the point of a defect


REPORT_LEFT_ON_DISK = Defect(
    name="report-left-on-disk",
    shape="end-to-end",
    case="two-devices",
    check="torn-down",
    story="A build server deployed each branch under a name of its own, and deleted it after an hour. After some weeks "
    "the devices' small disks were full of reports about branches, and no agent could keep anything any more.",
    patch=_patch,
    part="agent",
)
