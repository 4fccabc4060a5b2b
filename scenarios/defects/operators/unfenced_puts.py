"""Keys are put without the revision that they replace: whoever comes second writes once more."""

from collections.abc import Mapping

from nats.js.client import JetStreamContext

from fleet.bus import writes
from fleet.wire import Bucket
from scenarios.defects.defect import Defect


def _patch() -> None:
    publish = writes._publish

    async def unfenced(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, headers: Mapping[str, str]) -> int:
        kept = {name: text for name, text in headers.items() if name != writes._EXPECTED or not value}
        return await publish(js, bucket, key, value, kept)

    writes._publish = unfenced


UNFENCED_PUTS = Defect(
    name="unfenced-puts",
    shape="two-operators",
    case="both-at-once-both-behind",
    check="one-edit-k-writes",
    story="Puts were thought harmless, since both operators write the same: only deletes named a revision. During each "
    "rollout every new key was written twice, and agents that act on each message restarted their containers.",
    patch=_patch,
)
