"""The latest report of each deployment is stored in the end, over whatever else stands there, and never steps back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from nats.js.client import JetStreamContext

from fleet.agent import own_key
from fleet.agent.link import Link
from fleet.agent.outbox import Outbox
from fleet.agent.tests.brokers import DB, DEVICE, WEB, Operator, Seen, ready, running, within
from fleet.bus import writes
from fleet.bus.entry import Entry
from fleet.bus.tests.servers import Server
from fleet.errors import PeerAway, PeerRefused, WireError
from fleet.wire import (
    Bucket,
    DeploymentName,
    DeviceState,
    Owner,
    Pair,
    Phase,
    decode_device_state,
    kv_subject,
    state_key,
    stream_name,
)

BUCKET = Bucket.DEVICE_STATE
KEY, DB_KEY = state_key(Pair(DEVICE, WEB)), state_key(Pair(DEVICE, DB))
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def report(generation: int = 1, *, seconds: float = 0, phase: Phase = Phase.RUNNING) -> DeviceState:
    return DeviceState(phase, NOON + timedelta(seconds=seconds), Owner("u1", generation), {"app": "c1"})


class Publishing:
    def __init__(self, link: Link, operator: Operator) -> None:
        self.beaten = asyncio.Event()
        self.beaten.set()
        self.link = link
        self.taken_back: Seen[DeploymentName] = Seen()
        self.outbox = Outbox(link, DEVICE, self.beaten, taken_back=self.taken_back.saw)
        self._operator = operator

    @asynccontextmanager
    async def publishes(self) -> AsyncIterator[None]:
        async with running(self.link.run(), self.outbox.run()):
            yield

    async def stores(self, state: DeviceState, key: str = KEY) -> int:
        """Wait until this is what is stored; its revision."""

        def is_it(entry: Entry | None) -> bool:
            return entry is not None and entry.value == state.encode()

        entry = await self._operator.stored(BUCKET, key, is_it)
        assert entry is not None
        return entry.revision


@pytest.fixture
def agent(link: Link, operator: Operator) -> Publishing:
    return Publishing(link, operator)


@pytest.fixture
async def written(operator: Operator) -> Seen[tuple[str, bytes]]:
    """What was sent to the bucket, refused or not: subject and payload."""
    seen: Seen[tuple[str, bytes]] = Seen()

    async def saw(message: object) -> None:
        seen.saw((str(getattr(message, "subject", "")), bytes(getattr(message, "data", b""))))

    await operator.client.subscribe(kv_subject(BUCKET, ">"), cb=saw)
    await operator.js.account_info()
    return seen


@pytest.mark.rule("A19")
async def test_a_report_is_stored_and_taken_back(agent: Publishing, operator: Operator) -> None:
    """Also after a report that followed; a deletion of what is not there writes nothing."""
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        first = await agent.stores(report(1))
        agent.outbox.put(WEB, report(2, seconds=1))
        assert await agent.stores(report(2, seconds=1)) != first
        agent.outbox.delete(WEB)
        agent.outbox.delete(DB)
        gone = await operator.stored(BUCKET, KEY, lambda entry: entry is not None and entry.value is None)
        await agent.taken_back.until(lambda seen: len(seen) == 2)
        agent.outbox.put(WEB, report(3, seconds=2))
        await agent.stores(report(3, seconds=2))
        assert gone is not None
        assert agent.taken_back == [WEB, DB]
        assert await operator.stored(BUCKET, DB_KEY, lambda _: True) is None
        assert list(agent.outbox._wanted) == list(agent.outbox._keys) == [WEB]
        assert await operator.consumers() == 0


async def test_what_is_wanted_again_is_not_taken_back(
    agent: Publishing, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that comes while the deletion is under way is stored over it, and nobody is told of a deletion."""
    delete = writes.delete

    async def slow(js: JetStreamContext, bucket: Bucket, key: str, *, expected: int) -> int:
        agent.outbox.put(WEB, report(2, seconds=1))
        return await delete(js, bucket, key, expected=expected)

    monkeypatch.setattr(writes, "delete", slow)
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await agent.stores(report(1))
        agent.outbox.delete(WEB)
        await agent.stores(report(2, seconds=1))
    assert not agent.taken_back


@pytest.mark.rule("A26", "L3")
async def test_nothing_is_published_before_the_first_beat(
    agent: Publishing, operator: Operator, written: Seen[tuple[str, bytes]]
) -> None:
    """Rule L3; what is stored is known before."""
    await operator.make()
    await operator.store(BUCKET, KEY, report(1).encode())
    agent.beaten.clear()
    async with agent.publishes():
        agent.outbox.put(WEB, report(2, seconds=1))
        assert await within(agent.outbox.known()) == {WEB: report(1)}
        await ready(agent.link)
        assert [payload for _, payload in written] == [report(1).encode()]
        agent.beaten.set()
        await agent.stores(report(2, seconds=1))


@pytest.mark.parametrize("late", ["bucket", "broker"])
async def test_what_was_put_while_away_is_stored_later(
    agent: Publishing, operator: Operator, server: Server, written: Seen[tuple[str, bytes]], late: str
) -> None:
    """Offline for days, or no bucket yet: only the latest of each deployment is kept, and published in the end."""
    if late == "broker":
        await operator.make()
        await server.kill()
    async with agent.publishes():
        for number in range(10_000):
            agent.outbox.put(WEB, report(number + 1, seconds=number))
            agent.outbox.put(DB, report(number + 1, seconds=number))
        assert len(agent.outbox._wanted) == len(agent.outbox._due) == 2
        if late == "broker":
            await operator.restart()
        else:
            await within(agent.link.up.wait())
            await operator.make()
        await agent.stores(report(10_000, seconds=9_999))
        await agent.stores(report(10_000, seconds=9_999), DB_KEY)
    # The agent may be back before whoever looks on.
    assert {payload for _, payload in written} <= {report(10_000, seconds=9_999).encode()}


async def test_the_latest_wins_under_a_slow_link(
    agent: Publishing, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one is under way, what comes in between is skipped."""
    stored: Seen[bytes] = Seen()
    go = asyncio.Event()
    put = writes.put

    async def slow(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        stored.saw(value)
        await go.wait()
        return await put(js, bucket, key, value, expected=expected)

    monkeypatch.setattr(writes, "put", slow)
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await stored.until(bool)
        for number in range(2, 500):
            agent.outbox.put(WEB, report(number, seconds=number))
        go.set()
        await agent.stores(report(499, seconds=499))
    assert stored == [report(1).encode(), report(499, seconds=499).encode()]


@pytest.mark.rule("A29")
async def test_another_writer_is_overwritten(agent: Publishing, operator: Operator) -> None:
    """One writer for each key is the contract; if there is another, ours is put over what it wrote."""
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await agent.stores(report(1))
        await operator.store(BUCKET, KEY, b"of somebody else")
        agent.outbox.put(WEB, report(2, seconds=1))
        await agent.stores(report(2, seconds=1))
        await operator.store(BUCKET, KEY, report(9, seconds=0.5).encode())
        agent.outbox.delete(WEB)
        await operator.stored(BUCKET, KEY, lambda entry: entry is not None and entry.value is None)


async def test_a_deletion_relies_on_the_leader(agent: Publishing, operator: Operator) -> None:
    """A server that lags said that there is no value: it is deleted all the same."""
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await agent.stores(report(1))
        await ready(agent.link)
        agent.outbox._keys[WEB].learn(Entry(KEY, 1, None))
        agent.outbox.delete(WEB)
        await operator.stored(BUCKET, KEY, lambda entry: entry is not None and entry.value is None)


async def test_a_deletion_that_lost_a_race_is_done_again(
    agent: Publishing, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody wrote in between: it counts as taken back only when nothing is stored."""
    delete = writes.delete
    raced: Seen[int] = Seen()

    async def late(js: JetStreamContext, bucket: Bucket, key: str, *, expected: int) -> int:
        if not raced:
            raced.saw(await operator.store(bucket, key, b"first"))
        return await delete(js, bucket, key, expected=expected)

    monkeypatch.setattr(writes, "delete", late)
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await agent.stores(report(1))
        agent.outbox.delete(WEB)
        await agent.taken_back.until(bool)
        entry = await operator.stored(BUCKET, KEY, lambda _: True)
    assert entry is not None
    assert entry.value is None
    assert raced


@pytest.mark.rule("A29")
async def test_a_race_is_bounded_and_won_in_the_end(
    agent: Publishing, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody who always writes first: a few attempts, then a pause, then again."""
    put = writes.put
    lost = 0

    async def late(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        nonlocal lost
        if lost < 2 * own_key._CONFLICTS_MAX + 1:
            lost += 1
            await put(operator.js, bucket, key, b"%d" % lost, expected=expected)
        return await put(js, bucket, key, value, expected=expected)

    monkeypatch.setattr(writes, "put", late)
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await agent.stores(report(1))
    assert lost == 7


async def test_one_bad_key_does_not_hold_up_the_others(
    agent: Publishing, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused for good, or never answered: the other deployments have their turn."""
    put = writes.put
    errors = [PeerRefused("no"), PeerAway("who knows")]

    async def refuse(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        if key == KEY and errors:
            raise errors[0]
        return await put(js, bucket, key, value, expected=expected)

    monkeypatch.setattr(writes, "put", refuse)
    await operator.make()
    async with agent.publishes():
        for generation in (1, 2):
            agent.outbox.put(WEB, report(generation, seconds=generation))
            agent.outbox.put(DB, report(generation, seconds=generation))
            await agent.stores(report(generation, seconds=generation), DB_KEY)
            errors.pop(0)
        await agent.stores(report(2, seconds=2))


async def test_an_answer_that_was_lost_is_looked_up(
    agent: Publishing, operator: Operator, monkeypatch: pytest.MonkeyPatch, written: Seen[tuple[str, bytes]]
) -> None:
    """It was stored all the same: it is not written twice, and its revision is known."""
    put = writes.put
    lose = True

    async def lossy(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        nonlocal lose
        revision = await put(js, bucket, key, value, expected=expected)
        if lose:
            lose = False
            raise PeerAway("no answer")
        return revision

    monkeypatch.setattr(writes, "put", lossy)
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        await agent.stores(report(1))
        agent.outbox.put(WEB, report(2, seconds=1))
        await agent.stores(report(2, seconds=1))
    assert [payload for _, payload in written] == [report(1).encode(), report(2, seconds=1).encode()]


@pytest.mark.rule("A25")
async def test_event_time_never_goes_back(agent: Publishing, operator: Operator) -> None:
    """A new disk and a clock that was set back: what is stored already is later, and ours is put after it."""
    await operator.make()
    await operator.store(BUCKET, KEY, report(1, seconds=100).encode())
    async with agent.publishes():
        agent.outbox.put(WEB, report(2, seconds=5))
        await agent.stores(report(2, seconds=100.001))
        agent.outbox.put(WEB, report(3, seconds=6))
        revision = await agent.stores(report(3, seconds=100.002))
        # That it is looked at again is no news, and no reason to move on.
        agent.outbox.look()
        agent.outbox.put(DB, report(1))
        await agent.stores(report(1), DB_KEY)
        assert await agent.stores(report(3, seconds=100.002)) == revision
        agent.outbox.put(WEB, report(3, seconds=200))
        await agent.stores(report(3, seconds=200))


async def test_the_end_of_time_is_no_crash(agent: Publishing, operator: Operator) -> None:
    """Whatever somebody stored: of equal times the one stored later counts."""
    await operator.make()
    last = datetime.max.replace(tzinfo=UTC)
    stored = DeviceState(Phase.FAILED, last, Owner("u1", 1))
    await operator.store(BUCKET, KEY, stored.encode())
    async with agent.publishes():
        agent.outbox.put(WEB, report(2))
        await agent.stores(DeviceState(Phase.RUNNING, last, Owner("u1", 2), {"app": "c1"}))


async def test_what_is_stored_is_known(agent: Publishing, operator: Operator) -> None:
    """Own reports that can be understood, of this device alone."""
    await operator.make()
    await operator.store(BUCKET, KEY, report(4).encode())
    await operator.store(BUCKET, DB_KEY, b"{")
    await operator.store(BUCKET, f"state.{DEVICE}.NO_NAME", report(1).encode())
    await operator.store(BUCKET, "state.d1.web", report(1).encode())
    await operator.delete(BUCKET, state_key(Pair(DEVICE, DeploymentName("old"))))
    async with agent.publishes():
        assert await within(agent.outbox.known()) == {WEB: report(4)}


async def test_after_a_reconnect_only_what_differs_is_written(agent: Publishing, operator: Operator) -> None:
    """The broker comes back with its storage: nothing; without it, or with less: all that is missing."""
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        agent.outbox.put(DB, report(1))
        before = await agent.stores(report(1))
        await agent.stores(report(1), DB_KEY)
        await operator.restart()
        await operator.js.purge_stream(stream_name(BUCKET), subject=kv_subject(BUCKET, DB_KEY))
        agent.outbox.look()
        await agent.stores(report(1), DB_KEY)
        assert await agent.stores(report(1)) == before
        await operator.restart(wiped=True)
        await operator.make()
        assert await agent.stores(report(1)) != before
        await agent.stores(report(1), DB_KEY)


async def test_a_bucket_that_was_made_again_is_filled(agent: Publishing, operator: Operator) -> None:
    """Noticed at the next write: everything else is published as well."""
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        agent.outbox.put(DB, report(1))
        await agent.stores(report(1))
        await agent.stores(report(1), DB_KEY)
        await operator.drop(BUCKET)
        await operator.make()
        agent.outbox.put(WEB, report(2, seconds=1))
        await agent.stores(report(2, seconds=1))
        await agent.stores(report(1), DB_KEY)


@pytest.mark.rule("A28")
async def test_asked_to_publish_again_it_writes_everything(agent: Publishing, operator: Operator) -> None:
    """Also what is stored as it should be."""
    await operator.make()
    async with agent.publishes():
        agent.outbox.put(WEB, report(1))
        agent.outbox.put(DB, report(1))
        before = {KEY: await agent.stores(report(1)), DB_KEY: await agent.stores(report(1), DB_KEY)}
        agent.outbox.again()
        for key, revision in before.items():
            entry = await operator.stored(BUCKET, key, lambda e, r=revision: e is not None and e.revision != r)  # type: ignore[misc] # bound now
            assert entry is not None
            assert decode_device_state(entry.value or b"") == report(1)


async def test_what_has_no_bytes_is_refused_at_once(agent: Publishing) -> None:
    """A report that its bytes cannot carry is its maker's bug, and shows there."""
    with pytest.raises(WireError):
        agent.outbox.put(WEB, DeviceState(Phase.RUNNING, NOON, Owner("", 1)))
    assert not agent.outbox._wanted
