"""Every start of the operator counts as a transition of each condition."""

from datetime import datetime

from fleet.kube.objects import Deployment
from fleet.operator import status
from fleet.operator.status import Json
from scenarios.defects.defect import Defect


def _patch() -> None:
    conditions = status._conditions
    told: set[str] = set()

    def anew(deployment: Deployment, verdicts: list[status._Verdict], now: datetime) -> list[Json]:
        made = conditions(deployment, verdicts, now)
        if deployment.uid in told:
            return made
        told.add(deployment.uid)
        return [{**condition, "lastTransitionTime": f"{now:%Y-%m-%dT%H:%M:%S}Z"} for condition in made]

    status._conditions = anew


TRANSITIONS_ANEW = Defect(
    name="transitions-anew",
    shape="cold-restart-full-kv",
    case="8x4-twice",
    check="status-bytes-unchanged",
    story="lastTransitionTime was kept in memory and began anew with the process. After each rollout of the operator "
    "every Deployment seemed to have become ready just now, and every alert on it fired.",
    patch=_patch,
)
