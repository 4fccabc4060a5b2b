"""A service that the score does not have any more is not looked at, so it runs on."""

from fleet.agent import slot_worker
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Rest, Step
from scenarios.defects.defect import Defect


def _patch() -> None:
    def of_score_alone(scene: Scene) -> Step:
        return Rest() if scene.spec is None and scene.wanted else next_step(scene)

    slot_worker.next_step = of_score_alone  # type: ignore[attr-defined] # the name that it imported, not the function


DROPPED_LEFT = Defect(
    name="dropped-left",
    part="agent",
    shape="service-dropped",
    case="one-of-two",
    check="runs-as-desired",
    story="The agent went through the services of the score, one by one. A service that was taken out of it was never "
    "come to again: it ran for months, on an image with a known hole.",
    patch=_patch,
)
