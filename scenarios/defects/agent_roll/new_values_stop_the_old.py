"""The old container is stopped with the grace of the order that replaces it."""

from fleet.agent.runtime.podman import PodmanRuntime
from fleet.agent.slot_worker import SlotWorker
from fleet.agent.steps import Deed, Stop
from scenarios.defects.defect import Defect

_STOPPED = (204, 304, 404)


def _patch() -> None:
    does = SlotWorker._do

    async def with_new_values(slot: SlotWorker, deed: Deed) -> bool:
        spec, runtime = slot.scene.spec, slot._tools.runtime
        if isinstance(deed, Stop) and spec is not None and isinstance(runtime, PodmanRuntime):
            query = {"timeout": str(spec.lifecycle.grace_period_secs)}
            await runtime._libpod.call("POST", f"containers/{deed.container.id}/stop", *_STOPPED, query=query)
            return True
        return await does(slot, deed)

    SlotWorker._do = with_new_values  # type: ignore[method-assign, assignment] # the point of a defect


NEW_VALUES_STOP_THE_OLD = Defect(
    name="new-values-stop-the-old",
    part="agent",
    shape="sigterm-ignored",
    case="old-grace-long",
    check="ended-as-told",
    story="The grace was read from the newest score. Who shortened it, because the new version needs none, had the old "
    "one killed in the middle of its last write.",
    patch=_patch,
)
