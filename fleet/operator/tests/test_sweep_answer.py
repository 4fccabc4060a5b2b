"""The administrator's answer: for one set of keys, once, and found again after trouble and restarts."""

import pytest
from structlog.testing import capture_logs

from fleet.errors import PeerAway
from fleet.operator import approval
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.sweeper import Sweeper
from fleet.operator.tests.samples import WEB, cell, device, pair
from fleet.operator.tests.sweeping import MANY, marked, orphans, question
from fleet.operator.tests.turns import Clock, converged, running, turn
from fleet.operator.tests.world import World
from fleet.wire import parse_desired_key


@pytest.mark.rule("B3")
@pytest.mark.usefixtures("follows")
async def test_a_yes_lets_them_go(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """The set is swept, the question is taken back together with the yes, and nothing is in trouble any more."""
    orphans(world, MANY)
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
        standing = await approval.read(world.kube)
        assert standing is not None
        await approval.approve(world.kube, standing)
        with capture_logs() as logs:
            await clock.go_on(1.1)
            await clock.go_on(1.1)
    assert marked(world) == MANY
    assert (world.health.sweep, sweeper.trouble(WEB), world.count("fleet_sweep_held_keys")) == (None, None, 0)
    assert (question(world)["id"], question(world).get("approved")) == ("", None)
    assert [line["event"] for line in logs].count("sweep_released") == 1


@pytest.mark.rule("B3")
@pytest.mark.usefixtures("follows")
async def test_a_yes_is_for_that_set_alone(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """It has grown before the yes was read: there is a new question, with a new id, and nothing was deleted."""
    orphans(world, MANY)
    async with running(writer.run()), running(sweeper.run()), running(world.announcer.run()):
        await clock.go_on(1.1)
        standing = await approval.read(world.kube)
        assert standing is not None
        orphans(world, 1, first=MANY)
        await approval.approve(world.kube, standing)
        await clock.go_on(1.1)
        await clock.go_on(1.1)
    assert marked(world) == 0
    assert question(world)["count"] == "31"
    assert question(world)["id"] != standing.id
    assert len(world.kube.events) == 2


@pytest.mark.rule("B3")
@pytest.mark.usefixtures("follows")
async def test_a_yes_counts_once(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """The same keys come to be unwanted again: somebody is asked again."""
    names = orphans(world, MANY)
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
        standing = await approval.read(world.kube)
        assert standing is not None
        await approval.approve(world.kube, standing)
        await clock.go_on(1.1)
        await clock.go_on(1.1)
        assert marked(world) == MANY
        for number, name in enumerate(names):
            world.stored(pair(name), cell(5000 + number))
        for _ in range(5):
            await clock.go_on(1.1)
    assert marked(world) == MANY
    assert question(world)["id"] == standing.id


@pytest.mark.rule("R3")
@pytest.mark.usefixtures("follows")
async def test_a_source_that_is_lost_while_the_answer_is_read(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """A yes that comes together with a lost source waits for recovery."""
    orphans(world, MANY)
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
        standing = await approval.read(world.kube)
        assert standing is not None
        await approval.approve(world.kube, standing)
        world.kube.gate.clear()
        await clock.go_on(1.1)
        converged(world.recovery, holds=False)
        world.kube.gate.set()
        await turn()
        assert world.health.sweep is not None
        converged(world.recovery)
        await clock.go_on(1.1)
        await clock.go_on(1.1)
    assert marked(world) == MANY


@pytest.mark.rule("P2")
async def test_a_question_that_cannot_be_put(world: World, sweeper: Sweeper, clock: Clock) -> None:
    """Trouble of the API server: it waits all the same, is shown at /recovery, and is asked as soon as that works."""
    orphans(world, MANY)
    world.kube.refuse = lambda _: PeerAway("503")
    async with running(sweeper.run()):
        await clock.go_on(1.1)
        await clock.go_on(1.1)
        assert (question(world), world.health.sweep is not None) == ({}, True)
        world.kube.refuse = lambda _: None
        await clock.go_on(1.1)
        assert question(world)["count"] == "30"


@pytest.mark.rule("P2")
@pytest.mark.usefixtures("follows")
async def test_an_answer_that_cannot_be_read(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """That is no yes; it is read again a second later."""
    orphans(world, MANY)
    async with running(writer.run()), running(sweeper.run()):
        await clock.go_on(1.1)
        standing = await approval.read(world.kube)
        assert standing is not None
        await approval.approve(world.kube, standing)
        world.kube.refuse = lambda _: PeerAway("503")
        await clock.go_on(1.1)
        assert marked(world) == 0
        world.kube.refuse = lambda _: None
        await clock.go_on(1.1)
        await clock.go_on(1.1)
    assert marked(world) == MANY


@pytest.mark.rule("E1")
async def test_the_same_sweep_is_told_once(world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock) -> None:
    """Other keys come and the reason's numbers change, the operator restarts, a twin tells it too: one Event."""
    orphans(world, MANY)
    async with running(sweeper.run()), running(world.announcer.run()):
        await clock.go_on(1.1)
        for number in range(3):
            world.objects(device(f"y{number}"))
            world.stored(pair(f"y{number}"), cell(9000 + number))
            await clock.go_on(1.1)
        assert "of 33 keys" in question(world)["reason"]
        assert len(world.kube.verbs("create-event")) == 1
    again = Sweeper(world.parts, writer)
    async with running(again.run()), running(world.announcer.run()):
        await clock.go_on(1.1)
    assert len(world.kube.events) == 1


@pytest.mark.rule("B3")
@pytest.mark.usefixtures("follows")
async def test_a_restart_between_question_and_answer(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """The yes was given while no operator ran: the next one asks the same, and finds it."""
    orphans(world, MANY)
    async with running(sweeper.run()):
        await clock.go_on(1.1)
    standing = await approval.read(world.kube)
    assert standing is not None
    await approval.approve(world.kube, standing)
    again = Sweeper(world.parts, writer)
    async with running(writer.run()), running(again.run()):
        await clock.go_on(1.1)
        await clock.go_on(1.1)
    assert marked(world) == MANY


@pytest.mark.rule("B3")
async def test_a_question_that_was_left_behind(
    world: World, writer: DesiredWriter, sweeper: Sweeper, clock: Clock
) -> None:
    """An operator died with its question standing and answered; nothing waits any more: both are taken back."""
    names = orphans(world, MANY)
    async with running(sweeper.run()):
        await clock.go_on(1.1)
    standing = await approval.read(world.kube)
    assert standing is not None
    await approval.approve(world.kube, standing)
    for name in names:
        world.objects(device(name))
    again = Sweeper(world.parts, writer)
    async with running(again.run()):
        await clock.go_on(1.1)
    assert await approval.read(world.kube) is None
    assert await approval.approved(world.kube) is None
    assert {str(parse_desired_key(key).deployment) for key in standing.examples} == {"web"}
