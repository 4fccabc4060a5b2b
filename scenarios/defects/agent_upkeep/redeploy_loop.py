"""What podman reports of a container is compared with what was ordered: it never is the same."""

from fleet.agent import slot_worker
from fleet.agent.model import ContainerState
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Rest, Step, Stop, Wait, right_container
from scenarios.defects.defect import Defect

_TICK_S = 0.5
_TICKS = 3


def _patch() -> None:
    looks: dict[str, int] = {}

    def decide(scene: Scene) -> Step:
        step = next_step(scene)
        right = right_container(scene.spec, scene.own)
        if not isinstance(step, Rest) or right is None or right.state is not ContainerState.RUNNING:
            return step
        looks[right.id] = looks.get(right.id, 0) + 1
        # Podman adds PATH and HOME to the environment: unequal, for ever.
        return Stop(right) if looks[right.id] > _TICKS else Wait(scene.now_s + _TICK_S)

    slot_worker.next_step = decide  # type: ignore[attr-defined] # the name that it imported, not the function


REDEPLOY_LOOP = Defect(
    name="redeploy-loop",
    shape="ticks-idempotent",
    case="1000-ticks",
    check="untouched",
    story="An agent compared the environment that podman inspects with the one that was ordered. Podman adds PATH and "
    "HOME, so every tick found a difference, and every service with an env was restarted, again and again.",
    patch=_patch,
    part="agent",
)
