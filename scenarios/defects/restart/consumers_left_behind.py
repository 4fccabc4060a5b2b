"""Each reconnect makes a consumer of a new name, and nobody deletes the one before."""

import secrets

from fleet.bus.replica import KvReplica
from scenarios.defects.defect import Defect


def _patch() -> None:
    leave = KvReplica._leave

    async def leave_it(_: KvReplica) -> None:
        return

    async def leave_and_rename(self: KvReplica) -> None:
        await leave(self)
        self._consumer = f"fleet-{secrets.token_hex(8)}"

    KvReplica._delete_consumer = leave_it  # type: ignore[method-assign, assignment] # the point of a defect
    KvReplica._leave = leave_and_rename  # type: ignore[method-assign] # likewise


CONSUMERS_LEFT_BEHIND = Defect(
    name="consumers-left-behind",
    shape="nats-cut-mid-rebuild",
    case="flapping",
    check="consumers-unchanged",
    story="Every subscription was given a fresh random name, so that no two could meet. A flapping uplink left "
    "hundreds of consumers on each stream, and the broker spent its time on serving nobody.",
    patch=_patch,
)
