"""Writes that fail: told once, tried again with pauses; and an end that leaves none half-way."""

import asyncio

import pytest
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.errors import APIError
from structlog.testing import capture_logs

from fleet.operator import desired_writer
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.status import Trouble
from fleet.operator.tests.samples import WEB, cell, device, pair
from fleet.operator.tests.turns import DEADLINE_S, Clock, running, turn
from fleet.operator.tests.world import World


async def settle(writer: DesiredWriter) -> None:
    """Wake it, and let it do what there is to do."""
    writer.wake()
    await turn()


@pytest.mark.rule("P2")
async def test_a_failed_write_waits_before_it_is_tried_again(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """News of other keys does not turn a failing write into a storm; after a second it is tried again, for ever."""
    world.broker.refuse = lambda _: NatsTimeoutError()
    async with running(writer.run()):
        for _ in range(50):
            await settle(writer)
        assert len(world.broker.writes) == 1
        for attempts in range(2, 6):
            await clock.go_on(1.1)
            assert len(world.broker.writes) == attempts
        world.broker.refuse = lambda _: None
        await clock.go_on(1.1)
    assert set(world.state.dirty_pairs) == set()
    assert world.count('fleet_desired_writes_total{operation="put",outcome="failed"}') == 5
    assert world.count('fleet_desired_writes_total{operation="put",outcome="stored"}') == 1


@pytest.mark.rule("E1")
async def test_a_refused_write_is_told(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """What the broker said is the Deployment's trouble until a write of its succeeds; it makes its status due."""
    world.broker.refuse = lambda _: APIError(code=400, err_code=10054, description="message size exceeds maximum")
    world.state.dirty_status.clear()
    async with running(writer.run()), running(world.announcer.run()):
        await settle(writer)
        trouble = writer.trouble(WEB)
        assert trouble is not None
        assert (trouble.reason, "message size exceeds maximum" in trouble.message) == ("WriteFailed", True)
        assert world.state.dirty_status == {WEB}
        await clock.go_on(1.1)
        assert len(world.broker.writes) == 2
        (event,) = world.kube.events.values()
        assert (event["reason"], event["type"]) == ("WriteFailed", "Warning")
        assert len(world.kube.verbs("create-event")) == 1
        world.state.dirty_status.clear()
        world.broker.refuse = lambda _: None
        await clock.go_on(1.1)
    assert writer.trouble(WEB) is None
    assert world.state.dirty_status == {WEB}


async def test_a_trouble_ends_when_somebody_else_wrote(world: World, writer: DesiredWriter) -> None:
    """With every key as it should be there is nothing to complain about, whoever has done it."""
    world.broker.refuse = lambda _: NatsTimeoutError()
    async with running(writer.run()):
        await settle(writer)
        assert isinstance(writer.trouble(WEB), Trouble)
        world.state.desire(pair(), cell(2000))
        assert writer.trouble(WEB) is None


@pytest.mark.rule("P3")
async def test_an_orderly_end_finishes_what_is_under_way(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`finish` waits for the write that has begun; the next one is not begun, and no round after it."""
    monkeypatch.setattr(desired_writer, "_WRITES_AT_ONCE_MAX", 1)
    world.objects(device("d2"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        finish = asyncio.create_task(writer.finish())
        await turn()
        assert not finish.done()
        world.broker.gate.set()
        async with asyncio.timeout(DEADLINE_S):
            await finish
        assert len(world.broker.stored) == 1
        await settle(writer)
    assert len(world.broker.writes) == 1


async def test_an_idle_writer_finishes_at_once(writer: DesiredWriter) -> None:
    """There is nothing to wait for."""
    async with asyncio.timeout(DEADLINE_S):
        await writer.finish()


@pytest.mark.rule("P1")
async def test_a_crash_in_a_write_ends_the_loop(world: World, writer: DesiredWriter) -> None:
    """What is no trouble of the peer is raised, not logged away."""
    world.broker.refuse = lambda _: ZeroDivisionError()
    writer.wake()
    with pytest.raises(ExceptionGroup) as crash:
        async with asyncio.timeout(DEADLINE_S):
            await writer.run()
    assert crash.group_contains(ZeroDivisionError)


async def test_a_round_says_what_it_did(world: World, writer: DesiredWriter) -> None:
    """One line a round, with how many were written and how many of those failed."""
    world.objects(device("d2"))
    world.broker.refuse = lambda write: NatsTimeoutError() if write.key == "d2.web" else None
    with capture_logs() as logs:
        async with running(writer.run()):
            await settle(writer)
    (line,) = [line for line in logs if line["event"] == "desired_written"]
    assert (line["writes"], line["failed"]) == (2, 1)
