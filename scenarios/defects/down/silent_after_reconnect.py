"""A beat that is too old makes a device silent, whether or not anybody could have stored a newer one."""

from fleet.operator.liveness import Liveness
from scenarios.defects.defect import Defect


def _patch() -> None:
    borders = Liveness._borders

    def at_once(self: Liveness, now_s: float) -> tuple[float, float]:
        quiet_before_s, _ = borders(self, now_s)
        return quiet_before_s, quiet_before_s

    Liveness._borders = at_once  # type: ignore[method-assign] # the point of a defect


SILENT_AFTER_RECONNECT = Defect(
    name="silent-after-reconnect",
    shape="device-offline",
    case="broker-away-operator-restarted",
    check="stale-justified",
    story="Silence was the age of the last beat and nothing else. When the broker came back from its upgrade, every "
    "device of the fleet was stale until it had beaten again, and everybody was paged.",
    patch=_patch,
)
