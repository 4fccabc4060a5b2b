"""A proof on demand: `caught_up` for whoever needs to know, `recheck` for a process that stood still."""

import asyncio
from itertools import count

import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig, ConsumerInfo
from nats.js.client import JetStreamContext

from fleet.bus import replica
from fleet.bus.api import Stream
from fleet.bus.replica import KvReplica
from fleet.bus.session import Session
from fleet.bus.tests.following import fill, hurry, running
from fleet.bus.tests.servers import DEADLINE_S, Life, Server
from fleet.bus.tests.sink import BUCKET, STREAM, Sink
from fleet.errors import PeerAway
from fleet.wire import kv_subject

pytestmark = pytest.mark.usefixtures("bucket")


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    # Only what a test asks for is proved.
    monkeypatch.setattr(replica, "_CHECK_S", 60)


async def test_what_was_stored_before_the_call_was_handed_over(
    following: KvReplica, sink: Sink, server: Server
) -> None:
    """Stored by somebody else, who has the acknowledgement: after `caught_up` the sink has it."""
    other = Client()
    await other.connect(server.url)
    for number in range(50):
        await fill(other.jetstream(), [f"k{number}", f"l{number}"])
        await following.caught_up(DEADLINE_S)
        assert {f"k{number}", f"l{number}"} <= set(sink.values)
    await other.close()


async def test_it_ends_under_constant_writes(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """There is always something on its way, and never all of it: it waits only for what was there."""

    async def write() -> None:
        for number in count():
            await fill(js, ["hot", f"n{number}"])

    writing = asyncio.create_task(write())
    try:
        for _ in range(20):
            await following.caught_up(DEADLINE_S)
    finally:
        writing.cancel()
        await asyncio.wait({writing})
    assert sink.losses == []


async def test_it_ends_with_a_purged_tail(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """The stream's last sequence is one that nobody will ever be sent."""
    await fill(js, ["c", "b"])
    await js.purge_stream(STREAM, subject=kv_subject(BUCKET, "b"))
    await following.caught_up(DEADLINE_S)
    # It has also found that a key is missing, and replayed.
    assert sink.replays == 2
    await following.caught_up(DEADLINE_S)
    assert sink.replays == 2
    assert sink.values == {"a": b"x", "b": None, "c": b"x"}


async def test_before_the_first_replay_it_waits_for_it(
    client: Client, js: JetStreamContext, life: Life, sink: Sink
) -> None:
    """A replay that began after the call brings everything."""
    await fill(js, ["a"])
    async with running(client, js, life, sink) as followed:
        await followed.caught_up(DEADLINE_S)
        assert sink.log == ["replay_started", "replayed"]


async def test_a_lost_session_is_waited_out(
    following: KvReplica, sink: Sink, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks while it waits: the next replay answers it."""
    look = following._look
    calls = 0

    async def break_once(session: Session) -> Stream:
        nonlocal calls
        calls += 1
        if calls == 1:
            await server.restart()
        return await look(session)

    monkeypatch.setattr(following, "_look", break_once)
    await following.caught_up(DEADLINE_S)
    assert sink.replays == 2
    assert sink.log[-1] == "replayed"


async def test_with_the_server_away_it_gives_up(following: KvReplica, server: Server) -> None:
    """In time, and as an error of the peer's."""
    await server.kill()
    with pytest.raises(PeerAway, match=r"bucket device-state: not caught up within 0\.1 s"):
        await following.caught_up(0.1)


async def test_a_recheck_revokes_and_proves(following: KvReplica, sink: Sink) -> None:
    """`lost` before the call returns; `replayed` once it is proved, without a replay."""
    following.recheck("the process stood still for 3 s")
    assert sink.log == ["replay_started", "replayed", "lost: the process stood still for 3 s"]
    await sink.until(lambda: sink.replays == 2)
    assert sink.log[-2:] == ["lost: the process stood still for 3 s", "replayed"]
    assert len(sink.told) == 2


async def test_a_recheck_takes_what_came_meanwhile_first(following: KvReplica, sink: Sink, server: Server) -> None:
    """What others stored while we stood still is in the sink before it is told `replayed`."""
    other = Client()
    await other.connect(server.url)
    seen: list[set[str]] = []
    note = sink.replayed

    def replayed() -> None:
        seen.append(set(sink.values))
        note()

    sink.replayed = replayed  # type: ignore[method-assign] # looks at the moment itself
    for number in range(20):
        await fill(other.jetstream(), [f"k{number}"])
        following.recheck("stood still")
        await sink.until(lambda number=number: len(seen) == number + 1)  # type: ignore[misc] # bound now
        assert f"k{number}" in seen[number]
    await other.close()


async def test_a_recheck_that_fails_is_a_new_session(following: KvReplica, sink: Sink, js: JetStreamContext) -> None:
    """The bucket was emptied while we stood still: a replay, and the keys are told as gone."""
    await js.purge_stream(STREAM)
    following.recheck("stood still")
    await sink.until(lambda: sink.replays == 2)
    assert sink.log[2:5] == [
        "lost: stood still",
        "lost: bucket device-state: 2 of its keys vanished without a delete marker",
        "replay_started",
    ]
    assert sink.values == {"a": None, "b": None}


async def test_a_second_doubt_during_the_proof_needs_another(
    following: KvReplica, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proof that began before the doubt does not disprove it."""
    look = following._look
    calls = 0

    async def doubt_again(session: Session) -> Stream:
        nonlocal calls
        calls += 1
        if calls == 1:
            following.recheck("stood still again")
        return await look(session)

    monkeypatch.setattr(following, "_look", doubt_again)
    following.recheck("stood still")
    await sink.until(lambda: sink.replays == 2)
    assert calls == 2
    assert sink.log[2:] == ["lost: stood still", "lost: stood still again", "replayed"]


async def test_a_recheck_during_a_replay_is_not_forgotten(
    client: Client, js: JetStreamContext, life: Life, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that stood still half way is complete only when it is proved after that."""
    await fill(js, ["a", "b"])
    make = js.add_consumer

    async def stand_still(stream: str, config: ConsumerConfig, **options: float) -> ConsumerInfo:
        followed.recheck("stood still")
        return await make(stream, config=config, **options)

    monkeypatch.setattr(js, "add_consumer", stand_still)
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
    assert sink.log == ["replay_started", "lost: stood still", "replayed"]
    assert set(sink.values) == {"a", "b"}


async def test_without_a_session_there_is_nothing_to_doubt(client: Client, js: JetStreamContext, sink: Sink) -> None:
    """A replica that does not run yet claims nothing."""
    replica_at_rest = KvReplica(client, js, BUCKET, sink)
    replica_at_rest.recheck("stood still")
    replica_at_rest.disconnected()
    assert sink.log == []
