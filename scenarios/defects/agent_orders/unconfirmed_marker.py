"""A delete marker is obeyed as soon as it is heard; nobody asks whether it is what is stored."""

from fleet.agent import desk
from fleet.agent.desired import judge_confirmed
from scenarios.defects.defect import Defect


def _patch() -> None:
    desk.judge = judge_confirmed  # type: ignore[attr-defined, assignment] # the name that it imported


UNCONFIRMED_MARKER = Defect(
    name="unconfirmed-marker",
    shape="desired-deleted",
    case="marker-told",
    check="untouched",
    story="A bridge between two NATS accounts replayed an hour of messages after an outage. Among them were delete "
    "markers of deployments that had been made again since, and devices stopped what they were to run.",
    patch=_patch,
    part="agent",
)
