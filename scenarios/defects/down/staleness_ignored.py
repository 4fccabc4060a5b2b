"""Whoever reported Running once runs for ever."""

import math

from fleet.operator.liveness import Liveness
from scenarios.defects.defect import Defect


def _patch() -> None:
    def nobody(_: Liveness, __: float) -> tuple[float, float]:
        return -math.inf, -math.inf

    Liveness._borders = nobody  # type: ignore[method-assign, assignment] # the point of a defect


STALENESS_IGNORED = Defect(
    name="staleness-ignored",
    shape="device-offline",
    case="one",
    check="stale-told",
    story="The counts came from device-state alone, and what is stored there stays. A site had been without power for "
    "a weekend before somebody wondered why its dashboard was green.",
    patch=_patch,
)
