"""What a device does not report any more is taken for removed, and its key is deleted, also if the report was lost."""

from fleet.bus import writes
from fleet.bus.replica import KvReplica
from fleet.bus.session import Session
from fleet.wire import Bucket, desired_key, kv_subject, parse_state_key, stream_name
from scenarios.defects.defect import Defect


def _patch() -> None:
    forget_vanished = KvReplica._forget_vanished

    async def tidy_up(self: KvReplica, session: Session) -> None:
        vanished = self._keys - session.keys
        await forget_vanished(self, session)
        if self._bucket is not Bucket.DEVICE_STATE:
            return
        for key in vanished:
            desired = desired_key(parse_state_key(key))
            subject = kv_subject(Bucket.DESIRED_STATE, desired)
            stored = await self._js.get_last_msg(stream_name(Bucket.DESIRED_STATE), subject)
            await writes.delete(self._js, Bucket.DESIRED_STATE, desired, expected=stored.seq or 0)

    KvReplica._forget_vanished = tidy_up  # type: ignore[method-assign] # the point of a defect


LOSS_SWEPT = Defect(
    name="loss-swept",
    shape="stream-loss",
    case="state-purged",
    check="loss-is-no-deletion",
    story="A clean-up removed the desired state of whatever was not reported any more. When the reports were purged "
    "by mistake, each device of the fleet stopped what it ran.",
    patch=_patch,
)
