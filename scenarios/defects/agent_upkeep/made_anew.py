"""A container that ended is removed and made anew."""

from fleet.agent import slot_worker
from fleet.agent.model import ContainerState
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Remove, Start, Step
from scenarios.defects.defect import Defect


def _patch() -> None:
    def decide(scene: Scene) -> Step:
        step = next_step(scene)
        if isinstance(step, Start) and step.container.state is ContainerState.EXITED:
            return Remove(step.container)
        return step

    slot_worker.next_step = decide  # type: ignore[attr-defined] # the name that it imported, not the function


MADE_ANEW = Defect(
    name="made-anew",
    shape="container-dies",
    case="signal",
    check="kept",
    story="To be on the safe side an ended container was removed and made again from its image. What it had written "
    "outside of its volumes was gone, a queue of measurements among it, and so were the logs of why it had ended.",
    patch=_patch,
    part="agent",
)
