"""Whatever is to go is killed, without a signal to end by itself."""

from fleet.agent.runtime.podman import PodmanRuntime
from scenarios.defects.defect import Defect

_KILLED = (204, 404, 409)


def _patch() -> None:
    async def kill(runtime: PodmanRuntime, container_id: str) -> None:
        await runtime._libpod.call("POST", f"containers/{container_id}/kill", *_KILLED, query={"signal": "SIGKILL"})
        await runtime._libpod.call("POST", f"containers/{container_id}/wait", 200, 404, 500)

    PodmanRuntime.stop = kill  # type: ignore[method-assign, assignment] # the point of a defect


KILLED_AT_ONCE = Defect(
    name="killed-at-once",
    part="agent",
    shape="sigterm-ignored",
    case="needs-half-its-grace",
    check="ended-as-told",
    story="Rolls had to be quick, so the old container was removed by force. The one that flushed its buffers when it "
    "was told to end lost them at each update.",
    patch=_patch,
)
