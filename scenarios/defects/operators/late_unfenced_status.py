"""Status patches are queued and sent a moment later, at whatever version the object has by then."""

import asyncio
import random

from fleet.kube.objects import Deployment
from fleet.operator import status, status_ticker
from fleet.operator.main import Operator
from fleet.operator.status import Json
from fleet.operator.status_ticker import StatusTicker
from scenarios.defects.defect import Defect

_LATER_S = (0.1, 1.5)


def _patch() -> None:
    fenced, store = status.status_patch, StatusTicker._store

    def unfenced(deployment: Deployment, new: Json) -> Json:
        return {"status": fenced(deployment, new)["status"]}

    async def later(self: StatusTicker, deployment: Deployment, new: Json) -> bool:
        await asyncio.sleep(random.uniform(*_LATER_S))  # noqa: S311 - jitter, keeps no secret
        return await store(self, deployment, new)

    async def never_behind(_: Operator) -> None:
        return

    # The name that it imported, not the function.
    setattr(status_ticker, "status_patch", unfenced)  # noqa: B010 - not exported, so no checker knows it
    StatusTicker._store = later  # type: ignore[method-assign, assignment] # the point of a defect
    Operator._caught_up = never_behind  # type: ignore[method-assign, assignment] # one more net, which this one has not


LATE_UNFENCED_STATUS = Defect(
    name="late-unfenced-status",
    shape="two-operators",
    case="12s",
    check="status-never-back",
    story="Status patches went through a queue that smoothed the load, and carried no version, since conflicts had "
    "filled the log. While two operators ran, the slower one put back what the faster one had already corrected.",
    patch=_patch,
)
