"""A status that is there is left alone until a report changes something: what vanished meanwhile goes on counting."""

from fleet.operator.state import FleetState
from scenarios.defects.defect import Defect


def _patch() -> None:
    judge_now = FleetState.judge_now

    def trust_what_is_there(self: FleetState) -> None:
        judge_now(self)
        told = [name for name, deployment in self.deployments.items() if deployment.status]
        self.dirty_status.difference_update(told)

    FleetState.judge_now = trust_what_is_there  # type: ignore[method-assign] # the point of a defect


LAST_STATUS_BELIEVED = Defect(
    name="last-status-believed",
    shape="desired-seed-only",
    case="purged-all",
    check="pending-without-report",
    story="A restart patched each status once, which hurt the API server, so a status that was there already was not "
    "looked at again. After the broker had lost its disk, all devices still counted as running, among them dead ones.",
    patch=_patch,
)
