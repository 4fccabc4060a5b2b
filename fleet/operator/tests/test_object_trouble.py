"""Finalizers, registration and forgetting when something comes in between: tried again, and never on an older world."""

import asyncio

import pytest
from nats.errors import TimeoutError as NatsTimeoutError
from structlog.testing import capture_logs

from fleet.errors import Conflict, NotFound, PeerAway
from fleet.operator.lifecycle import FINALIZER
from fleet.operator.object_writer import ObjectWriter
from fleet.operator.tests.devices import INFO, decoded, departing, introduced, settle
from fleet.operator.tests.peers import Broker
from fleet.operator.tests.samples import deployment, device
from fleet.operator.tests.turns import Clock, converged, running, turn
from fleet.operator.tests.world import World


@pytest.fixture
def writer(world: World) -> ObjectWriter:
    return ObjectWriter(world.parts)


@pytest.mark.rule("K2", "P2")
async def test_a_device_that_still_publishes_is_forgotten_again(
    world: World, writer: ObjectWriter, clock: Clock
) -> None:
    """It was faster than our delete: the fence holds, and a little later it is tried on what is there then."""
    departing(world)
    world.broker.after_read = lambda: publish_again(world.broker)
    async with running(writer.run()):
        await settle(writer)
        assert world.broker.stored[INFO].value == b"{}"
        world.broker.after_read = lambda: None
        await clock.go_on(2.1)
    assert world.broker.stored[INFO].value is None


def publish_again(broker: Broker) -> None:
    broker.store(*INFO, b"{}")


@pytest.mark.rule("P2")
@pytest.mark.parametrize("error", [Conflict("moved on"), PeerAway("503")])
async def test_trouble_is_tried_again(
    world: World, writer: ObjectWriter, clock: Clock, error: Conflict | PeerAway
) -> None:
    """Two seconds later, for ever, on the objects as they are then."""
    world.objects(deployment(finalizers=()), device(finalizers=()))
    world.kube.refuse = lambda _: error
    async with running(writer.run()):
        await settle(writer)
        for attempts in (2, 4, 6):
            assert len(world.kube.calls) == attempts
            await clock.go_on(2.1)
        world.kube.refuse = lambda _: None
        await clock.go_on(2.1)
    assert decoded(world).finalizers == (FINALIZER,)
    assert world.count('fleet_object_writes_total{outcome="done",step="SetFinalizers"}') == 2


async def test_an_object_that_is_gone_needs_no_finalizer(world: World, writer: ObjectWriter, clock: Clock) -> None:
    """The informer is about to say so: no failure, no second attempt."""
    world.objects(device(finalizers=()))
    world.kube.refuse = lambda call: NotFound(call.what)
    async with running(writer.run()):
        with capture_logs() as logs:
            await settle(writer)
        await clock.go_on(5)
    assert (len(world.kube.calls), logs) == (1, [])


@pytest.mark.rule("P2")
async def test_a_broker_that_is_away_delays_registration(world: World, writer: ObjectWriter, clock: Clock) -> None:
    """Without its info afresh a device is not registered; it is as soon as the broker answers."""
    introduced(world)
    request = world.broker.request

    async def away(*_: object, **__: object) -> object:
        raise NatsTimeoutError

    world.broker.request = away  # type: ignore[method-assign,assignment] # for this test
    async with running(writer.run()):
        await settle(writer)
        assert world.kube.calls == []
        world.broker.request = request  # type: ignore[method-assign] # as above
        await clock.go_on(2.1)
    assert [call.verb for call in world.kube.calls] == ["create"]


@pytest.mark.rule("O4", "O5")
@pytest.mark.parametrize("by", ["another", "us"])
async def test_a_device_that_goes_before_it_was_seen_is_registered_again(
    world: World, writer: ObjectWriter, clock: Clock, by: str
) -> None:
    """The informer, which has never known it, cannot say that it is gone: the writer looks again by itself."""
    introduced(world)
    if by == "another":
        world.kube.put(device())
    async with running(writer.run()):
        await settle(writer)
        del world.kube.objects["devices"]["d1"]
        await clock.go_on(2.1)
        assert "d1" in world.kube.objects["devices"]
        world.state.upsert_device(device())
        await clock.go_on(5)
    assert len(world.kube.verbs("create")) == 2


@pytest.mark.rule("R3", "R8")
@pytest.mark.parametrize("how", ["lost", "stood-still", "stood-still-and-mended", "stopping"])
async def test_what_was_decided_before_is_not_done(
    world: World, writer: ObjectWriter, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A source was lost, or the process stood still, or it is ending, while steps waited for their turn."""
    monkeypatch.setattr("fleet.operator.object_writer._AT_ONCE_MAX", 1)
    world.objects(deployment(finalizers=()), device(finalizers=()))
    world.kube.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        happen(world, writer, how)
        world.kube.gate.set()
        await turn()
        # All current again: what was discarded is decided anew at once.
        assert len(world.kube.calls) == (2 if how == "stood-still-and-mended" else 1)
        converged(world.recovery)
        await settle(writer)
    assert len(world.kube.calls) == (1 if how == "stopping" else 2)


def happen(world: World, writer: ObjectWriter, how: str) -> None:
    match how:
        case "lost":
            converged(world.recovery, holds=False)
        case "stood-still":
            world.stand_still(5)
        case "stood-still-and-mended":
            world.stand_still(5)
            world.standstill.check()
            converged(world.recovery)
        case _:
            writer.finish()


@pytest.mark.rule("R3", "R8")
@pytest.mark.parametrize("how", ["lost", "stood-still", "stood-still-and-mended", "stopping"])
@pytest.mark.parametrize("step", ["register", "forget"])
async def test_between_the_fresh_read_and_the_write(world: World, writer: ObjectWriter, step: str, how: str) -> None:
    """The answer of the read is of before, and so is what would be written on it."""
    if step == "register":
        introduced(world)
    else:
        departing(world)
    done: list[str] = []

    def once() -> None:
        if not done:
            done.append(how)
            happen(world, writer, how)

    world.broker.after_read = once
    async with running(writer.run()):
        await settle(writer)
    mended = how == "stood-still-and-mended"
    # Decided again, on what is known by then, where everything is current again.
    assert len(world.broker.writes) + len(world.kube.verbs("create")) == (
        0 if not mended else 1 if step == "register" else 2
    )
    assert len(world.broker.reads) == (1 if step == "register" else 2) * (2 if mended else 1)


@pytest.mark.rule("P1")
async def test_a_crash_in_a_step_ends_the_loop(world: World, writer: ObjectWriter) -> None:
    """What is no trouble of a peer is raised, not logged away."""

    async def crash(*_: object) -> str:
        raise ZeroDivisionError

    world.objects(device(finalizers=()))
    world.kube.patch = crash  # type: ignore[method-assign,assignment] # for this test
    writer.wake()
    with pytest.raises(ExceptionGroup) as end:
        async with asyncio.timeout(5):
            await writer.run()
    assert end.group_contains(ZeroDivisionError)
