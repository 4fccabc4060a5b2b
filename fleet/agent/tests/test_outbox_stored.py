"""What is stored already is known: its time is never stepped back from, and only what differs from it is written."""

from datetime import UTC, datetime

import pytest

from fleet.agent.tests.brokers import DB, DEVICE, WEB, Operator, within
from fleet.agent.tests.publishing import BUCKET, DB_KEY, KEY, Publishing, report
from fleet.wire import (
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
