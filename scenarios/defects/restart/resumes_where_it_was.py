"""After a reconnect the replica goes on at its last sequence + 1, and holds what it had to be true."""

from dataclasses import replace

from nats.js.api import ConsumerConfig, DeliverPolicy

from fleet.bus import replica
from fleet.bus.entry import Entries
from fleet.bus.replica import KvReplica
from fleet.bus.session import Session, StreamFacts
from fleet.wire import Bucket, kv_subject
from scenarios.defects.defect import Defect


def _patch() -> None:
    positions: dict[Bucket, int] = {}
    tell, begin = Session._tell, Session.begin

    def remember(self: Session, entries: Entries, pending: int) -> None:
        positions[self._bucket] = self.position
        tell(self, entries, pending)

    def go_on(self: Session, facts: StreamFacts) -> None:
        if self._bucket not in positions:
            begin(self, facts)

    def resumed(**settings: object) -> ConsumerConfig:
        config = ConsumerConfig(**settings)  # type: ignore[arg-type] # whatever the replica asks for
        bucket = next(b for b in Bucket if config.filter_subject == kv_subject(b, ">"))
        if bucket not in positions:
            return config
        return replace(config, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=positions[bucket] + 1)

    async def take_for_granted(*_: object) -> None:
        return

    # A net that this one has not: the broker is asked how many keys there are.
    KvReplica._prove = take_for_granted  # type: ignore[method-assign, assignment] # the point of a defect
    KvReplica._forget_vanished = take_for_granted  # type: ignore[method-assign, assignment] # likewise
    Session._tell = remember  # type: ignore[method-assign] # likewise
    Session.begin = go_on  # type: ignore[method-assign] # likewise
    replica.ConsumerConfig = resumed  # type: ignore[attr-defined, assignment] # the name that it imported


RESUMES_WHERE_IT_WAS = Defect(
    name="resumes-where-it-was",
    shape="nats-cut-mid-rebuild",
    case="k57-purged-meanwhile",
    check="wanted-keys-present",
    story="The client library's ordered consumer resumes at the last sequence + 1, which looked like a feature. The "
    "bucket was emptied while the link was down, and nobody ever wrote those keys again.",
    patch=_patch,
)
