"""Buckets made the way a client library makes them by default: nothing republished, revisions from 1."""

from dataclasses import replace

from nats.js.api import StreamConfig

from fleet.bus import buckets
from fleet.wire import Bucket
from scenarios.defects.defect import Defect


def _patch() -> None:
    wanted = buckets.wanted_config

    def plain(bucket: Bucket, *, first_seq: int) -> StreamConfig:
        return replace(wanted(bucket, first_seq=first_seq), republish=None, first_seq=None)

    buckets.wanted_config = plain


PLAIN_BUCKETS = Defect(
    name="plain-buckets",
    shape="missing-buckets",
    case="operator-first",
    check="buckets-honour-contract",
    story="Somebody replaced the stream configuration by the library's create_key_value. Agents that were up already "
    "listened on a subject where nothing came any more.",
    patch=_patch,
)
