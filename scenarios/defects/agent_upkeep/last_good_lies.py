"""An old container is never started again, not even if its replacement was never made."""

from fleet.agent import reconcile
from fleet.agent.model import ServiceSpec
from fleet.agent.reconcile import Scene
from fleet.agent.steps import Step, Wait
from scenarios.defects.defect import Defect


def _patch() -> None:
    def wait(scene: Scene, spec: ServiceSpec, until_s: float) -> Step:  # noqa: ARG001 - as what it stands for
        return Wait(until_s)

    reconcile._keep_up = wait


LAST_GOOD_LIES = Defect(
    name="last-good-lies",
    shape="power-loss",
    case="last-good",
    check="running-at",
    story="A new version was ordered whose image was not in the registry yet; the old one ran on, so nobody hurried. "
    "A thunderstorm later the devices that had lost their power ran neither.",
    patch=_patch,
    part="agent",
)
