"""A service that is gone from the score is removed by force, whatever its lifecycle says."""

from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.slot_worker import SlotWorker
from fleet.agent.steps import Deed, Stop
from scenarios.defects.defect import Defect

_STOPPED = (204, 304, 404)


def _patch() -> None:
    does = SlotWorker._do

    async def without_grace(slot: SlotWorker, deed: Deed) -> bool:
        runtime = slot._tools.runtime
        if isinstance(deed, Stop) and slot.scene.spec is None and isinstance(runtime, PodmanRuntime):
            path = f"containers/{deed.container.id}/stop"
            await runtime._libpod.call("POST", path, *_STOPPED, query={"timeout": "0"})
            return True
        return await does(slot, deed)

    SlotWorker._do = without_grace  # type: ignore[method-assign, assignment] # the point of a defect


DROPPED_WITHOUT_GRACE = Defect(
    name="dropped-without-grace",
    part="agent",
    shape="service-dropped",
    case="stubborn",
    check="ended-as-told",
    story="What nobody wants any more was thought to have nothing to lose. A queue that was taken out of a score was "
    "killed with all that it had not yet sent.",
    patch=_patch,
)
