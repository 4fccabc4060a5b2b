"""The first beat after an outage of the broker is taken for proof that all others had the chance to beat."""

import math

from fleet.operator.liveness import Liveness
from fleet.wire import DeviceId
from scenarios.defects.defect import Defect


def _patch() -> None:
    beat = Liveness.beat

    def proves_all(self: Liveness, device: DeviceId, at_s: float) -> bool:
        news = beat(self, device, at_s)
        self._accepting_since_s = -math.inf
        return news

    Liveness.beat = proves_all  # type: ignore[method-assign] # the point of a defect


FIRST_BEAT_JUDGES_ALL = Defect(
    name="first-beat-judges-all",
    shape="device-offline",
    case="broker-away-one-back-later",
    check="stale-justified",
    story="A beat of anybody proved that the broker was accepting, so after each outage the first agent to reconnect "
    "made all the others stale, for as long as their backoff took.",
    patch=_patch,
)
