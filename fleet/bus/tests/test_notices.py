"""What a replica must notice although no message tells of it, on a real server; and what it must not take for that."""

import asyncio
import shutil
from dataclasses import replace
from itertools import count

import pytest
from nats.aio.client import Client
from nats.js.api import RetentionPolicy, StorageType, StreamConfig
from nats.js.client import JetStreamContext

from fleet.bus import buckets, replica, writes
from fleet.bus.buckets import Identity
from fleet.bus.entry import Entry
from fleet.bus.replica import KvReplica, StreamFacts
from fleet.bus.tests.following import fill, replace_stream, running
from fleet.bus.tests.servers import Life, Server
from fleet.bus.tests.sink import BUCKET, STREAM, Sink, brief
from fleet.wire import kv_subject

pytestmark = pytest.mark.usefixtures("bucket", "in_a_hurry")

OURS = Identity("11111111-aaaa", "fleet")


def kinds(facts: list[StreamFacts]) -> list[tuple[bool, bool]]:
    return [(one.made, one.replaced) for one in facts]


async def test_a_deleted_bucket_is_made_again(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """Deleted under a healthy connection: lost, made again by us, empty, and what it held is told as gone."""
    assert following is not None
    await js.delete_stream(STREAM)
    await sink.until(lambda: sink.replays == 2)
    assert sink.losses == ["lost: bucket device-state: its stream was deleted"]
    assert sorted(sink.told[2:], key=brief) == [Entry("a", 0, None, 0.0), Entry("b", 0, None, 0.0)]
    assert kinds(sink.facts) == [(False, False), (True, True)]
    assert (await js.stream_info(STREAM)).config.max_msgs_per_subject == 1


async def test_deleted_and_made_again_between_two_heartbeats(
    following: KvReplica, sink: Sink, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another incarnation of the same name is noticed by its creation time, long before the silence."""
    assert following is not None
    monkeypatch.setattr(replica, "_SILENCE_TURN_S", 60)
    await js.delete_stream(STREAM)
    await buckets.ensure(js, BUCKET)
    await fill(js, ["b"])
    await sink.until(lambda: sink.replays == 2)
    assert sink.losses == ["lost: bucket device-state: its stream was deleted and made again"]
    assert [brief(entry) for entry in sink.told[2:]] == [("b", sink.told[2].revision, b"x"), ("a", 0, None)]
    assert kinds(sink.facts) == [(False, False), (False, True)]
    assert sink.facts[1].created_s > sink.facts[0].created_s


async def test_made_again_behind_a_reconnect(
    following: KvReplica, sink: Sink, server: Server, client: Client, life: Life
) -> None:
    """While we were away the bucket became another one: the next session says so."""
    assert following is not None
    other = Client()
    await other.connect(server.url)
    client.options["reconnect_time_wait"] = 0.3
    await client.force_reconnect()
    await sink.until(lambda: bool(sink.losses))
    await other.jetstream().delete_stream(STREAM)
    await buckets.ensure(other.jetstream(), BUCKET)
    await other.close()
    await sink.until(lambda: sink.replays >= 2)
    assert sink.values == {"a": None, "b": None}
    assert kinds(sink.facts)[-1] == (False, True)
    assert life.losses == 1


async def test_storage_wiped_behind_a_reconnect(following: KvReplica, sink: Sink, server: Server) -> None:
    """The server comes back on its port with an empty disk: the bucket is made, and all that it held is gone."""
    assert following is not None
    await server.kill()
    shutil.rmtree(server.folder / "store")
    await server.start()
    await sink.until(lambda: sink.replays == 2)
    assert sink.values == {"a": None, "b": None}
    assert kinds(sink.facts) == [(False, False), (True, True)]


async def test_a_restarted_server_keeps_the_incarnation(following: KvReplica, sink: Sink, server: Server) -> None:
    """Killed and started on the same disk: a replay, and the same bucket."""
    assert following is not None
    await server.restart()
    await sink.until(lambda: sink.replays == 2)
    assert sink.values == {"a": b"x", "b": b"x"}
    assert sink.facts[1].created_s == sink.facts[0].created_s
    assert kinds(sink.facts) == [(False, False), (False, False)]


async def test_an_emptied_bucket_is_noticed(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """A purge of the whole stream sends no message: fewer messages than keys tell of it."""
    assert following is not None
    await js.purge_stream(STREAM)
    await sink.until(lambda: sink.replays == 2)
    assert sink.losses == ["lost: bucket device-state: 2 of its keys vanished without a delete marker"]
    assert sink.values == {"a": None, "b": None}
    # As good as made: what devices had said in it is gone.
    assert kinds(sink.facts)[-1] == (True, False)


@pytest.mark.parametrize("key", ["a", "b"])
async def test_one_purged_key_is_noticed(following: KvReplica, sink: Sink, js: JetStreamContext, key: str) -> None:
    """One key less, be it the first or the last of the stream, and its marker with it."""
    assert following is not None
    await js.purge_stream(STREAM, subject=kv_subject(BUCKET, key))
    await sink.until(lambda: sink.replays == 2)
    assert sink.losses == ["lost: bucket device-state: 1 of its keys vanished without a delete marker"]
    assert sink.told[-1] == Entry(key, 0, None)


async def test_a_purged_key_is_noticed_under_constant_writes(
    following: KvReplica, sink: Sink, js: JetStreamContext
) -> None:
    """Nothing is ever quiet, new keys come all the time, and the missing one shows all the same."""
    assert following is not None

    async def write() -> None:
        for number in count():
            await fill(js, [f"n{number}", "b"])

    writing = asyncio.create_task(write())
    try:
        await sink.until(lambda: "n50" in sink.values)
        await js.purge_stream(STREAM, subject=kv_subject(BUCKET, "a"))
        await sink.until(lambda: sink.replays == 2)
    finally:
        writing.cancel()
        await asyncio.wait({writing})
    assert "1 of its keys vanished" in sink.losses[0]
    assert sink.values["a"] is None


async def test_writes_and_deletes_are_no_loss(
    following: KvReplica, sink: Sink, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of puts, deletes and new keys while the count is compared all the time: never a false alarm."""
    assert following is not None
    monkeypatch.setattr(replica, "_CHECK_S", 0.0)

    async def write(lane: int) -> None:
        revision = 0
        for number in range(400):
            await fill(js, [f"new{lane}-{number}"])
            revision = await writes.put(js, BUCKET, f"k{lane}", b"x", expected=revision)
            revision = await writes.delete(js, BUCKET, f"k{lane}", expected=revision)

    async with asyncio.TaskGroup() as group:
        for lane in range(8):
            group.create_task(write(lane))
    await following.caught_up(5)
    assert sink.losses == []
    assert len(sink.values) == 2 + 8 * 401


async def test_another_identity_ends_it_while_it_runs(
    client: Client, js: JetStreamContext, life: Life, sink: Sink
) -> None:
    """Whoever adopted the bucket after us has it: we are lost until it is ours again, and we write nothing there."""
    async with running(client, js, life, sink, identity=OURS):
        await sink.until(lambda: sink.replays == 1)
        config = (await js.stream_info(STREAM)).config
        theirs = {**(config.metadata or {}), **Identity("22222222-bbbb", "fleet").metadata}
        await js.update_stream(replace(config, metadata=theirs, first_seq=None))
        await sink.until(lambda: len(sink.losses) >= 3)
        assert all("belongs to namespace fleet of cluster 22222222-bbbb" in line for line in sink.losses)
        assert sink.log.count("replay_started") == 1
        await js.update_stream(replace(config, first_seq=None))
        await sink.until(lambda: sink.replays == 2)


@pytest.mark.parametrize(
    "config",
    [
        StreamConfig(first_seq=2**53 - 2, storage=StorageType.FILE),
        StreamConfig(first_seq=2**62 - 10, storage=StorageType.FILE),
        StreamConfig(first_seq=2**63 - 2, storage=StorageType.MEMORY),
        StreamConfig(first_seq=2**63 + 10, storage=StorageType.MEMORY),
    ],
    ids=lambda config: f"{config.first_seq}-{config.storage.value}",
)
async def test_large_revisions(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, config: StreamConfig
) -> None:
    """Streams that start near 2^53, 2^62 and 2^63 are replayed completely, followed and proved like any other."""
    first_seq = config.first_seq or 0
    await replace_stream(js, replace(buckets.wanted_config(BUCKET, first_seq=first_seq), storage=config.storage))
    await fill(js, ["a", "b", "c", "d"])
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        assert sink.values == dict.fromkeys("abcd", b"x")
        await fill(js, ["e"])
        await followed.caught_up(5)
    assert max(entry.revision for entry in sink.told) == first_seq + 4
    assert sink.losses == []


async def test_revisions_that_the_server_cannot_read_back(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From 2^62 on the server's file store keeps messages and finds none: never current, and the bucket is named."""
    monkeypatch.setattr(replica, "_PROOF_S_MAX", 0.2)
    await replace_stream(js, buckets.wanted_config(BUCKET, first_seq=2**63 - 2))
    await fill(js, ["a", "b", "c", "d"])
    async with running(client, js, life, sink):
        await sink.until(lambda: len(sink.losses) == 2)
    assert sink.losses[0] == "lost: bucket device-state: it holds 4 keys and the server told of 0"
    assert sink.replays == 0


async def test_a_purged_tail_is_proved_too(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """A stream whose last messages are gone is complete without them: nothing is waited for that cannot come."""
    await js.purge_stream(STREAM, subject=kv_subject(BUCKET, "b"))
    await sink.until(lambda: sink.replays == 2)
    await following.caught_up(5)
    assert len(sink.losses) == 1


async def test_a_bucket_that_cannot_hold_one_message_a_key_is_not_counted(
    client: Client, js: JetStreamContext, life: Life, sink: Sink
) -> None:
    """Where the number of messages says nothing of that of keys, the replica goes without that proof."""
    config = buckets.wanted_config(BUCKET, first_seq=1)
    await replace_stream(js, replace(config, retention=RetentionPolicy.INTEREST))
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        await fill(js, ["a"])
        await followed.caught_up(5)
        assert sink.values == {"a": b"x"}
        await js.purge_stream(STREAM)
        await followed.caught_up(5)
    assert sink.losses == []
