"""The old container is stopped before anything is known of the new one."""

from fleet.agent import slot_worker
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Step, Stop, right_container
from scenarios.defects.defect import Defect


def _patch() -> None:
    def stopping_first(scene: Scene) -> Step:
        active = [c for c in scene.own if c.active]
        if scene.spec is not None and active and right_container(scene.spec, scene.own) is None:
            return Stop(active[0])
        return next_step(scene)

    slot_worker.next_step = stopping_first  # type: ignore[attr-defined] # the name that it imported, not the function


STOPPED_FIRST = Defect(
    name="stopped-first",
    part="agent",
    shape="bad-version",
    case="image-missing",
    check="ran-on",
    story="The old version was stopped, and then the new image was pulled: over a slow link that took half an hour. "
    "Where the tag had a typing error nothing ran any more.",
    patch=_patch,
)
