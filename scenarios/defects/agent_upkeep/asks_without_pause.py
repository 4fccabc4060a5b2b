"""A podman that does not answer is asked again at once."""

from fleet.agent import observer
from fleet.backoff import Backoff
from scenarios.defects.defect import Defect


class _Impatient(Backoff):
    def delay_s(self, *, lasted_s: float) -> float:  # noqa: ARG002 - as what it stands for
        return 0.01


def _patch() -> None:
    observer.Backoff = _Impatient  # type: ignore[attr-defined] # the name that it imported, not the class


ASKS_WITHOUT_PAUSE = Defect(
    name="asks-without-pause",
    shape="podman-away",
    case="stopped",
    check="podman-not-hammered",
    story="The agent looked again as soon as a look had failed. While podman upgraded its storage, for minutes, a "
    "hundred connections a second kept a core of each small device busy, and the upgrade took twice as long.",
    patch=_patch,
    part="agent",
)
