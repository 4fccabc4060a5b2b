"""When the new version cannot be started, the old one is started again."""

from fleet.agent import slot_worker
from fleet.agent.model import ContainerState
from fleet.agent.reconcile import Scene, next_step
from fleet.agent.steps import Rest, Start, Step, right_container
from scenarios.defects.defect import Defect


def _patch() -> None:
    def reverting(scene: Scene) -> Step:
        spec, right = scene.spec, right_container(scene.spec, scene.own)
        old = next((c for c in scene.own if c is not right), None)
        if spec is None or right is None or old is None or right.state is ContainerState.RUNNING:
            return next_step(scene)
        if not scene.memory.raising.at(spec.digest).failures:
            return next_step(scene)
        return Rest() if old.active else Start(old)

    slot_worker.next_step = reverting  # type: ignore[attr-defined] # the name that it imported, not the function


REVERTED = Defect(
    name="reverted",
    part="agent",
    shape="bad-version",
    case="no-such-program",
    check="never-reverted",
    story="A start that failed brought the old version back, which had a database schema of yesterday before it. "
    "What ran was no longer what was ordered, and nobody could tell from outside.",
    patch=_patch,
)
