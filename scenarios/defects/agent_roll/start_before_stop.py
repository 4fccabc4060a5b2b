"""The new container is started first, and the old one is stopped once that runs."""

from collections.abc import Sequence

from fleet.agent import reconcile
from fleet.agent.model import Container, ServiceSpec
from fleet.agent.reconcile import Scene
from fleet.agent.steps import Start, Step
from scenarios.defects.defect import Defect


def _patch() -> None:
    def without_a_gap(scene: Scene, spec: ServiceSpec, right: Container, others: Sequence[Container]) -> Step:  # noqa: ARG001 - as the original
        return Start(right)

    reconcile._cut_over = without_a_gap  # the point of a defect


START_BEFORE_STOP = Defect(
    name="start-before-stop",
    part="agent",
    shape="roll-forward",
    case="image",
    check="never-two-running",
    story="To have no gap, the new version was started before the old one was stopped. Both wrote to the same volume.",
    patch=_patch,
)
