"""A container is compared with what is wanted by what the runtime tells of it: any env or volume looks like drift."""

from fleet.agent import slot_worker
from fleet.agent.model import ContainerState
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Remove, Step, Stop, Wait, right_container
from scenarios.defects.defect import Defect

_TICK_S = 1.0


def _patch() -> None:
    seen_s: dict[str, float] = {}

    def redeploying(scene: Scene) -> Step:
        spec, right = scene.spec, right_container(scene.spec, scene.own)
        # What podman lists has PATH, HOSTNAME and absolute paths of volumes besides: it is never equal.
        if spec is None or right is None or not (spec.service.env or spec.service.volumes):
            return next_step(scene)
        if right.state is ContainerState.EXITED:
            return Remove(right)
        if right.state is not ContainerState.RUNNING:
            return next_step(scene)
        compared_s = seen_s.setdefault(right.id, scene.now_s) + _TICK_S
        return Wait(compared_s) if scene.now_s < compared_s else Stop(right)

    slot_worker.next_step = redeploying  # type: ignore[attr-defined] # the name that it imported, not the function


ENV_TAKEN_FOR_DRIFT = Defect(
    name="env-taken-for-drift",
    part="agent",
    shape="roll-forward",
    case="generation-alone",
    check="untouched",
    story="Each tick compared env and volumes of the container with those of the score. The runtime adds some of its "
    "own, so every service with an env was different for ever, and was made anew at every tick.",
    patch=_patch,
)
