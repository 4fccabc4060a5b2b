"""Buckets are created once, mended in place, and a stream that is not ours is refused."""

import asyncio
import time
from dataclasses import replace

import pytest
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from fleet.bus import buckets
from fleet.errors import PeerRefused
from fleet.wire import Bucket, kv_subject, stream_name

DESIRED = Bucket.DESIRED_STATE


async def stored(js: JetStreamContext, bucket: Bucket = DESIRED) -> StreamConfig:
    return (await js.stream_info(stream_name(bucket))).config


async def test_all_buckets_are_created(js: JetStreamContext) -> None:
    """Each bucket is created where there was none, and left alone the second time."""
    first = await buckets.ensure_all(js)
    assert [(r.bucket, r.created) for r in first] == [(b, True) for b in Bucket]
    second = await buckets.ensure_all(js)
    assert [(r.created, r.mended, r.problems) for r in second] == [(False, (), ())] * len(Bucket)


async def test_revisions_start_at_the_time_of_creation(js: JetStreamContext) -> None:
    """A new stream counts from Unix time in microseconds, so that no revision is ever used twice."""
    before = time.time_ns() // 1000
    await buckets.ensure(js, DESIRED)
    ack = await js.publish(kv_subject(DESIRED, "d.web"), b"x")
    assert before <= ack.seq <= time.time_ns() // 1000


async def test_a_bucket_made_again_reuses_no_revision(js: JetStreamContext) -> None:
    """Deleted and created anew, its first revision is higher than the last one before."""
    await buckets.ensure(js, DESIRED)
    last = await js.publish(kv_subject(DESIRED, "d.web"), b"x")
    await js.delete_stream(stream_name(DESIRED))
    await buckets.ensure(js, DESIRED)
    assert (await js.publish(kv_subject(DESIRED, "d.web"), b"x")).seq > last.seq


async def test_only_what_was_stored_is_republished(js: JetStreamContext) -> None:
    """desired-state reaches agents on the subject of the contract, once it is stored."""
    await buckets.ensure(js, DESIRED)
    subscription = await js._nc.subscribe("fleet.desired.d.*")
    await js.publish(kv_subject(DESIRED, "d.web"), b"x")
    message = await subscription.next_msg(timeout=5)
    assert (message.subject, message.data) == ("fleet.desired.d.web", b"x")


async def test_two_operators_at_once_make_one_bucket(js: JetStreamContext) -> None:
    """Both come out of the race with the same bucket; one of them created it."""
    reports = await asyncio.gather(*(buckets.ensure(js, DESIRED) for _ in range(8)))
    assert sum(r.created for r in reports) == 1
    assert all(r.mended == () for r in reports)


async def test_the_loser_of_a_race_takes_what_is_there(js: JetStreamContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Created by another between our look and our creation, with another first sequence: it is looked at again."""
    await buckets.ensure(js, DESIRED)
    look = buckets._existing
    looks = 0

    async def blind_at_first(js: JetStreamContext, bucket: Bucket) -> StreamConfig | None:
        nonlocal looks
        looks += 1
        return None if looks == 1 else await look(js, bucket)

    monkeypatch.setattr(buckets, "_existing", blind_at_first)
    assert not (await buckets.ensure(js, DESIRED)).created
    assert looks == 2


async def test_an_existing_bucket_is_mended_and_keeps_what_it_holds(js: JetStreamContext) -> None:
    """History, republish, age, size and discard are put right in place; keys and revisions stay."""
    foreign = replace(
        buckets.wanted_config(DESIRED, first_seq=5000),
        max_msgs_per_subject=5,
        republish=None,
        max_age=3600,
        max_msg_size=100,
        allow_direct=False,
        discard=DiscardPolicy.OLD,
    )
    await js.add_stream(foreign)
    ack = await js.publish(kv_subject(DESIRED, "d.web"), b"x")
    report = await buckets.ensure(js, DESIRED)
    assert report.mended == ("allow_direct", "discard", "max_age", "max_msg_size", "max_msgs_per_subject", "republish")
    assert not report.problems
    config = await stored(js)
    wanted = buckets.wanted_config(DESIRED, first_seq=5000)
    assert config.max_msgs_per_subject == 1
    assert config.first_seq == 5000
    assert config.republish == wanted.republish
    assert not config.max_age
    kept = await js.get_msg(stream_name(DESIRED), subject=kv_subject(DESIRED, "d.web"))
    assert (kept.seq, kept.data) == (ack.seq, b"x")
    assert (await buckets.ensure(js, DESIRED)).mended == ()


async def test_what_cannot_be_mended_is_said(js: JetStreamContext) -> None:
    """A bucket in memory serves, and the report says what is wrong with it."""
    await js.add_stream(replace(buckets.wanted_config(DESIRED, first_seq=1), storage=StorageType.MEMORY))
    assert (await buckets.ensure(js, DESIRED)).problems == ("bucket desired-state is stored in memory, not in file",)


async def test_a_foreign_stream_is_refused(js: JetStreamContext) -> None:
    """A stream of that name for other subjects is somebody else's: one line that says so, nothing changed."""
    await js.add_stream(StreamConfig(name=stream_name(DESIRED), subjects=["orders.>"]))
    with pytest.raises(PeerRefused, match=r"another program uses the name; give the fleet a NATS account of its own"):
        await buckets.ensure(js, DESIRED)
    assert (await stored(js)).subjects == ["orders.>"]
