"""The sweep's loop: lets a few orphans through, asks about many, and says so until somebody answered."""

import pytest
from structlog.testing import capture_logs

from fleet.errors import PeerAway
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.sweeper import Sweeper
from fleet.operator.tests.peers import Call, Write
from fleet.operator.tests.samples import D1, WEB, cell, deployment, device, pair
from fleet.operator.tests.sweeping import MANY, marked, orphans, question
from fleet.operator.tests.turns import Clock, converged, running, turn
from fleet.operator.tests.world import World


async def test_nothing_waits_and_nothing_is_written(world: World, sweeper: Sweeper, clock: Clock) -> None:
    """In a world without orphans it looks once whether an old question stands, and is quiet."""
    async with running(sweeper.run()):
        with capture_logs() as logs:
            for _ in range(5):
                await clock.go_on(1.1)
    assert world.kube.calls == [Call("get", "configmaps/fleet-sweep")]
    assert (logs, world.health.sweep, sweeper.trouble(WEB)) == ([], None, None)


@pytest.mark.rule("K5")
@pytest.mark.usefixtures("follows")
async def test_a_few_orphans_are_swept(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """Up to twenty go without a question."""
    orphans(world, 20)
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
    assert marked(world) == 20
    assert question(world) == {}


@pytest.mark.rule("B4", "E1")
async def test_many_orphans_wait(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """Nothing of them is deleted, and it is said at each of the four places; everything else goes on."""
    orphans(world, MANY)
    world.state.dirty_status.clear()
    async with running(writer.run()), running(sweeper.run()), running(world.announcer.run()):
        for _ in range(5):
            await clock.go_on(1.1)
        writer.wake()
        await turn()
    assert world.broker.writes == [Write("put", "d1.web", 0)]
    held = world.health.sweep
    assert held is not None
    assert (held.count, world.count("fleet_sweep_held_keys")) == (MANY, MANY)
    assert (question(world)["id"], question(world)["count"], question(world)["reason"]) == (held.id, "30", held.reason)
    assert "approved" not in question(world)
    (event,) = world.kube.events.values()
    assert (event["reason"], event["type"]) == ("SweepHeld", "Warning")
    assert held.id in str(event["message"])
    trouble = sweeper.trouble(WEB)
    assert trouble is not None
    assert (trouble.reason, trouble.message[:3]) == ("SweepHeld", "30 ")
    assert world.state.dirty_status == {WEB}
    # Said once: neither the question nor the Event was repeated.
    assert len(world.kube.verbs("write")) == 1
    assert len(world.kube.verbs("create-event")) == 1


@pytest.mark.rule("B2")
async def test_an_empty_list_holds_a_single_key(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """The API server lists no Device at all: even one orphan waits."""
    world.stored(pair(), cell(7))
    world.state.remove_device(D1)
    world.kube.objects["devices"].clear()
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
    assert world.broker.writes == []
    assert "no Devices" in question(world)["reason"]


@pytest.mark.rule("B2")
async def test_no_deployment_at_all(world: World, sweeper: Sweeper, clock: Clock) -> None:
    """Likewise; there is no Deployment that it could be said on."""
    world.stored(pair(), cell(7))
    world.state.remove_deployment(WEB)
    async with running(sweeper.run()), running(world.announcer.run()):
        await clock.go_on(1.1)
    assert "no Deployments" in question(world)["reason"]
    assert world.kube.events == {}


@pytest.mark.rule("R3")
async def test_it_looks_only_while_everything_is_current(world: World, sweeper: Sweeper, clock: Clock) -> None:
    """Half a world is full of orphans."""
    orphans(world, MANY)
    converged(world.recovery, holds=False)
    async with running(sweeper.run()):
        await clock.go_on(1.1)
        assert (world.kube.calls, world.health.sweep) == ([], None)
        converged(world.recovery)
        await clock.go_on(1.1)
        assert world.health.sweep is not None


@pytest.mark.rule("B5", "R2")
async def test_orphans_wait_for_the_infos(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """Without device-info nobody knows who is about to be registered; what an object tells is deleted meanwhile."""
    orphans(world, 1)
    told = device("d2", blocked=True)
    world.objects(told)
    world.stored(pair("d2"), cell(99))
    world.recovery.lost("device-info", "gone")
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
        assert world.broker.writes[-1:] == [Write("delete", "d2.web", 99)]
        assert marked(world) == 1
        world.recovery.current("device-info")
        await clock.go_on(1.1)
    assert marked(world) == 2


@pytest.mark.rule("K4")
async def test_an_orphan_that_is_told_by_now(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """Held back before its Deployment was deleted: it needs no approval any more."""
    orphans(world, MANY)
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
        world.objects(deployment(deleting=True))
        await clock.go_on(1.1)
        await clock.go_on(1.1)
    assert marked(world) == MANY
    assert world.health.sweep is None


@pytest.mark.rule("K8")
@pytest.mark.usefixtures("follows")
async def test_what_goes_with_its_definition_waits(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """Told by an object that is being deleted, yet nothing goes and it is said why; once they are back it goes."""
    world.stored(pair(), cell(7))
    world.kube.going = ("deployments", "devices")
    world.objects(deployment(deleting=True))
    async with running(writer.run()), running(sweeper.run()):
        writer.wake()
        for _ in range(3):
            await clock.go_on(1.1)
        assert (world.broker.writes, world.health.sweep is not None) == ([], True)
        assert (
            question(world)["reason"]
            == "the definition of deployments and of devices is being deleted, and 1 keys are stored"
        )
        # Meanwhile objects are not read again and again.
        assert world.kube.calls.count(Call("get", "deployments/web")) == 1
        world.kube.going = ()
        await clock.go_on(1.1)
        await clock.go_on(1.1)
    assert world.broker.writes == [Write("delete", "d1.web", 7)]
    assert world.health.sweep is None


@pytest.mark.rule("K8")
@pytest.mark.usefixtures("follows")
async def test_a_few_orphans_wait_for_the_definition_too(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """The brake let them through before anybody knew; the writer finds out, and from then on the brake holds them."""
    orphans(world, 3)
    world.kube.going = ("devices",)
    async with running(writer.run()), running(sweeper.run()):
        for _ in range(3):
            await clock.go_on(1.1)
    assert marked(world) == 0
    assert "the definition of devices is being deleted" in question(world)["reason"]


@pytest.mark.rule("K8")
async def test_definitions_that_cannot_be_read_are_as_they_were(
    world: World, sweeper: Sweeper, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that they are back: what waits goes on waiting."""
    orphans(world, 3)
    world.state.definitions_going = ("devices",)

    async def away() -> tuple[str, ...]:
        raise PeerAway("503")

    monkeypatch.setattr(world.kube, "definitions_going", away)
    async with running(sweeper.run()):
        with capture_logs() as logs:
            await clock.go_on(1.1)
    assert world.health.sweep is not None
    assert "definitions_not_read" in [line["event"] for line in logs]
