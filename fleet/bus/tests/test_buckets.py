"""Buckets are created once, mended in place, and a stream that is not ours is refused."""

import asyncio
import time
from dataclasses import replace

import pytest
from nats.js.api import DiscardPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from fleet.bus import api, buckets
from fleet.bus.buckets import Identity
from fleet.errors import PeerAway, PeerRefused
from fleet.wire import Bucket, kv_subject, stream_name

DESIRED = Bucket.DESIRED_STATE
OURS = Identity(cluster="11111111-aaaa", namespace="fleet")


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
    look = api.stream
    looks = 0

    async def blind_at_first(js: JetStreamContext, bucket: Bucket, **options: float) -> api.Stream | None:
        nonlocal looks
        looks += 1
        return None if looks == 1 else await look(js, bucket, **options)

    monkeypatch.setattr(api, "stream", blind_at_first)
    assert not (await buckets.ensure(js, DESIRED)).created
    assert looks == 3


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


async def test_the_report_tells_the_incarnation_and_the_brokers_clock(js: JetStreamContext) -> None:
    """The creation time tells one stream from another of the same name; the clock is the broker's own."""
    before = time.time()
    first = await buckets.ensure(js, DESIRED)
    again = await buckets.ensure(js, DESIRED)
    assert before - 1 <= first.created_s <= first.broker_now_s <= again.broker_now_s <= time.time() + 1
    assert (again.incarnation, again.created_s) == (first.incarnation, first.created_s)
    await js.delete_stream(stream_name(DESIRED))
    assert (await buckets.ensure(js, DESIRED)).incarnation != first.incarnation


async def test_a_new_bucket_carries_its_identity(js: JetStreamContext) -> None:
    """Cluster and namespace stand in the stream's metadata from its first moment; nothing is adopted."""
    report = await buckets.ensure(js, DESIRED, OURS)
    assert (report.created, report.adopted) == (True, False)
    metadata = (await stored(js)).metadata or {}
    assert metadata["fleetproof.dev/cluster"] == "11111111-aaaa"
    assert metadata["fleetproof.dev/namespace"] == "fleet"
    again = await buckets.ensure(js, DESIRED, OURS)
    assert (again.created, again.adopted, again.mended) == (False, False, ())


async def test_a_bucket_without_identity_is_adopted(js: JetStreamContext) -> None:
    """Made by an older operator or by hand: it becomes ours, and keeps what it holds and its other metadata."""
    await js.add_stream(replace(buckets.wanted_config(DESIRED, first_seq=5), metadata={"team": "edge"}))
    ack = await js.publish(kv_subject(DESIRED, "d.web"), b"x")
    report = await buckets.ensure(js, DESIRED, OURS)
    assert (report.created, report.adopted, report.mended) == (False, True, ())
    metadata = (await stored(js)).metadata or {}
    assert (metadata["team"], metadata["fleetproof.dev/namespace"]) == ("edge", "fleet")
    assert (await js.get_msg(stream_name(DESIRED), subject=kv_subject(DESIRED, "d.web"))).seq == ack.seq


@pytest.mark.rule("R6")
async def test_whether_a_bucket_may_lack_what_was_written(js: JetStreamContext) -> None:
    """Made just now, by somebody else, or purged: then it may. Keys, or delete markers, or nothing ever: then not."""
    assert (await buckets.ensure(js, DESIRED, OURS)).incomplete
    assert not (await buckets.ensure(js, DESIRED, OURS)).incomplete
    await js.publish(kv_subject(DESIRED, "d.web"), b"", headers={"KV-Operation": "DEL"})
    assert not (await buckets.ensure(js, DESIRED, OURS)).incomplete
    await js.purge_stream(stream_name(DESIRED))
    assert (await buckets.ensure(js, DESIRED, OURS)).incomplete
    await js.publish(kv_subject(DESIRED, "d.web"), b"{}")
    assert not (await buckets.ensure(js, DESIRED, OURS)).incomplete
    await js.delete_stream(stream_name(DESIRED))
    await js.add_stream(buckets.wanted_config(DESIRED, first_seq=5))
    assert (await buckets.ensure(js, DESIRED, OURS)).incomplete


@pytest.mark.parametrize("theirs", [Identity("22222222-bbbb", "fleet"), Identity("11111111-aaaa", "other")])
async def test_another_operators_bucket_is_refused(js: JetStreamContext, theirs: Identity) -> None:
    """One line names both identities, and not even a setting that is wrong was changed."""
    config = replace(buckets.wanted_config(DESIRED, first_seq=5), max_age=3600, metadata=theirs.metadata)
    await js.add_stream(config)
    with pytest.raises(PeerRefused) as refusal:
        await buckets.ensure(js, DESIRED, OURS)
    assert str(refusal.value).startswith(
        f"bucket desired-state belongs to namespace {theirs.namespace} of cluster {theirs.cluster}, this operator "
        "serves namespace fleet of cluster 11111111-aaaa: nothing is written"
    )
    assert (await stored(js)).max_age == 3600


@pytest.mark.rule("R7")
async def test_whose_all_buckets_are_is_asked_first(js: JetStreamContext) -> None:
    """One bucket of somebody else's is enough; none that is missing is made."""
    await buckets.check_all(js, OURS)
    theirs = replace(buckets.wanted_config(Bucket.DEVICE_STATE, first_seq=5), metadata=Identity("b", "fleet").metadata)
    await js.add_stream(theirs)
    with pytest.raises(PeerRefused, match="bucket device-state belongs to namespace fleet of cluster b"):
        await buckets.check_all(js, OURS)
    assert [info.config.name for info in await js.streams_info()] == [stream_name(Bucket.DEVICE_STATE)]


async def test_half_an_identity_is_not_ours(js: JetStreamContext) -> None:
    """A stream that names a cluster and no namespace belongs to somebody: it is not adopted."""
    half = {buckets.NAMESPACE_METADATA: "fleet"}
    await js.add_stream(replace(buckets.wanted_config(DESIRED, first_seq=5), metadata=half))
    with pytest.raises(PeerRefused, match="namespace fleet of cluster None"):
        await buckets.ensure(js, DESIRED, OURS)


async def test_of_two_operators_that_adopt_at_once_one_is_refused(
    js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever wrote last has it: the other reads that back, and does not believe its own write."""
    await js.add_stream(buckets.wanted_config(DESIRED, first_seq=5))
    update = api.update

    async def overtaken(js: JetStreamContext, bucket: Bucket, config: api.Config) -> None:
        await update(js, bucket, config)
        await update(js, bucket, {**config, "metadata": {**Identity("22222222-bbbb", "fleet").metadata}})

    monkeypatch.setattr(api, "update", overtaken)
    with pytest.raises(PeerRefused, match="belongs to namespace fleet of cluster 22222222-bbbb"):
        await buckets.ensure(js, DESIRED, OURS)


async def test_settings_that_the_client_library_does_not_know_are_kept(
    js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An update sends back what the server told, not what the library made of it."""
    await js.add_stream(replace(buckets.wanted_config(DESIRED, first_seq=5), max_msgs_per_subject=3))
    look = api.stream
    sent: list[api.Config] = []

    async def newer(js: JetStreamContext, bucket: Bucket, **options: float) -> api.Stream | None:
        found = await look(js, bucket, **options)
        assert found is not None
        found.config["setting_of_2030"] = True
        return found

    async def update(_: JetStreamContext, __: Bucket, config: api.Config) -> None:
        sent.append(config)

    monkeypatch.setattr(api, "stream", newer)
    monkeypatch.setattr(api, "update", update)
    await buckets.ensure(js, DESIRED)
    assert [(config["setting_of_2030"], config["max_msgs_per_subject"]) for config in sent] == [(True, 1)]


async def test_a_bucket_that_somebody_keeps_deleting_is_given_up(
    js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not made for ever within one call."""

    async def nothing(*_: object, **__: float) -> None:
        return None

    async def made(*_: object) -> bool:
        return True

    monkeypatch.setattr(api, "stream", nothing)
    monkeypatch.setattr(buckets, "_create", made)
    with pytest.raises(PeerAway, match="bucket desired-state: it vanishes as often as it is made"):
        await buckets.ensure(js, DESIRED)


async def test_a_stream_that_cannot_be_made_is_an_error(js: JetStreamContext) -> None:
    """Refused, and not because somebody was faster: the server's words come through."""
    await js.add_stream(StreamConfig(name="other", subjects=[kv_subject(DESIRED, ">")]))
    with pytest.raises(PeerRefused, match="bucket desired-state: JetStream refused it: subjects overlap"):
        await buckets.ensure(js, DESIRED)


async def test_a_stream_that_vanishes_while_it_is_mended(js: JetStreamContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is made of a half known configuration: whoever asked tries again."""
    await js.add_stream(replace(buckets.wanted_config(DESIRED, first_seq=5), max_msgs_per_subject=3))
    look = api.stream
    looks = 0

    async def once(js: JetStreamContext, bucket: Bucket, **options: float) -> api.Stream | None:
        nonlocal looks
        looks += 1
        return await look(js, bucket, **options) if looks == 1 else None

    monkeypatch.setattr(api, "stream", once)
    with pytest.raises(PeerAway, match="bucket desired-state: it was deleted in this very moment"):
        await buckets.ensure(js, DESIRED)
