"""The latest report of each deployment is stored in the end, and no other; one that is deleted is taken back."""

import asyncio

import pytest
from nats.js.client import JetStreamContext

from fleet.agent.tests.brokers import DB, WEB, Operator, Seen, ready, within
from fleet.agent.tests.publishing import BUCKET, DB_KEY, KEY, NOON, Publishing, report
from fleet.bus import writes
from fleet.bus.tests.servers import Server
from fleet.errors import WireError
from fleet.wire import (
    Bucket,
    DeviceState,
    Owner,
    Phase,
)


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


async def test_what_has_no_bytes_is_refused_at_once(agent: Publishing) -> None:
    """A report that its bytes cannot carry is its maker's bug, and shows there."""
    with pytest.raises(WireError):
        agent.outbox.put(WEB, DeviceState(Phase.RUNNING, NOON, Owner("", 1)))
    assert not agent.outbox._wanted
