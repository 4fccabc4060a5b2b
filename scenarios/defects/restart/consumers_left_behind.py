"""Each reconnect makes a consumer of a new name, and nobody deletes the one before."""

from fleet.bus.replica import KvReplica
from scenarios.defects.defect import Defect


def _patch() -> None:
    async def leave_it(self: KvReplica, consumer: str) -> None:
        del self, consumer

    KvReplica._delete = leave_it  # type: ignore[method-assign] # the point of a defect


CONSUMERS_LEFT_BEHIND = Defect(
    name="consumers-left-behind",
    shape="nats-cut-mid-rebuild",
    case="flapping",
    check="consumers-unchanged",
    story="Every subscription was given a fresh name, so that no two could meet, and whoever left did not clean up. A "
    "flapping uplink left hundreds of consumers on each stream, and the broker spent its time on serving nobody.",
    patch=_patch,
)
