"""Over another writer, a race, a refusal and an answer that was lost, the latest report is stored all the same."""

import pytest
from nats.js.client import JetStreamContext

from fleet.agent import own_key
from fleet.agent.tests.brokers import DB, WEB, Operator, Seen, ready
from fleet.agent.tests.publishing import BUCKET, DB_KEY, KEY, Publishing, report
from fleet.bus import writes
from fleet.bus.entry import Entry
from fleet.errors import PeerAway, PeerRefused
from fleet.wire import (
    Bucket,
)


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
