"""Writes that take something away, or go over what another view wrote: only after a fresh read agreed."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from fleet.errors import PeerAway
from fleet.operator import desired_writer
from fleet.operator.desired_keys import Cell
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.tests.peers import Call, Write
from fleet.operator.tests.samples import cell, deployment, device, malformed, marker, pair, report
from fleet.operator.tests.turns import Clock, converged, running, turn
from fleet.operator.tests.world import DESIRED, World
from fleet.wire import DeviceId, device_id

DELETE = Write("delete", "d1.web", 9)


async def settle(writer: DesiredWriter) -> None:
    writer.wake()
    await turn()


@pytest.mark.rule("K3")
@pytest.mark.parametrize(
    "there",
    [marker(9), malformed(9), cell(9, uid="other-uid"), cell(9, generation=2, image="web:2")],
    ids=["over-a-marker", "over-garbage", "over-another-uid", "over-a-later-generation"],
)
async def test_a_put_that_needs_a_second_reading(world: World, writer: DesiredWriter, there: Cell) -> None:
    """Both objects are read afresh, and then it is written at the revision that was seen before."""
    world.stored(pair(), there)
    async with running(writer.run()):
        await settle(writer)
    assert world.kube.calls == [Call("get", "deployments/web"), Call("get", "devices/d1")]
    assert world.broker.writes == [Write("put", "d1.web", 9)]


@pytest.mark.rule("K3")
async def test_a_put_over_a_key_that_vanished(world: World, writer: DesiredWriter) -> None:
    """There is no marker and no revision, and somebody took it away: objects are read afresh."""
    world.stored(pair(), cell(9))
    world.state.desire(pair(), None)
    del world.broker.stored[DESIRED, "d1.web"]
    async with running(writer.run()):
        await settle(writer)
    assert world.broker.writes == [Write("put", "d1.web", 0)]
    assert len(world.kube.verbs("get")) == 2


def block(world: World) -> None:
    world.kube.put(device(blocked=True))


def gone(world: World) -> None:
    world.kube.objects["deployments"].clear()


def unreadable(world: World) -> None:
    world.kube.objects["deployments"]["web"] = {"metadata": {"name": "web"}, "spec": 3}


@pytest.mark.rule("K3")
@pytest.mark.parametrize("change", [block, gone, unreadable])
async def test_a_put_that_fresh_objects_speak_against(
    world: World, writer: DesiredWriter, clock: Clock, change: Callable[[World], None]
) -> None:
    """Our view is behind: nothing is written, and it is decided again a second later on what has come by then."""
    world.stored(pair(), marker(9))
    change(world)
    async with running(writer.run()):
        await settle(writer)
        assert (world.broker.writes, len(world.kube.calls)) == ([], 2)
        world.objects(deployment(version="11"), device(version="2"))
        await clock.go_on(1.1)
    assert world.broker.writes == [Write("put", "d1.web", 9)]


@pytest.mark.rule("K3")
async def test_the_fresh_score_is_written(world: World, writer: DesiredWriter) -> None:
    """The API server knows a later generation than our watch: what goes out is that one's."""
    world.stored(pair(), marker(9))
    newer = deployment(generation=2, image="web:2", version="11")
    world.kube.put(newer)
    async with running(writer.run()):
        await settle(writer)
    assert world.broker.stored[DESIRED, "d1.web"].value == newer.wanted


@pytest.mark.rule("K2", "K3")
@pytest.mark.parametrize("told", ["deployment-deleting", "device-deleting", "device-blocked"])
async def test_a_delete_that_an_object_tells(world: World, writer: DesiredWriter, told: str) -> None:
    """At once, after a fresh read, and at the revision that was seen."""
    world.stored(pair(), cell(9))
    if told == "deployment-deleting":
        world.objects(deployment(deleting=True))
    else:
        world.objects(device(blocked=told == "device-blocked", deleting=told == "device-deleting"))
    async with running(writer.run()):
        await settle(writer)
    assert world.broker.writes == [DELETE]
    assert world.broker.stored[DESIRED, "d1.web"].value is None
    assert len(world.kube.verbs("get")) == 2


@pytest.mark.rule("K3")
async def test_a_delete_that_fresh_objects_speak_against(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """The Device was unblocked while our watch lagged: its key stays, also after the news."""
    world.stored(pair(), cell(9))
    world.state.upsert_device(device(blocked=True))
    async with running(writer.run()):
        await settle(writer)
        world.state.upsert_device(device(version="3"))
        await clock.go_on(1.1)
    assert (world.broker.writes, len(world.kube.calls)) == ([], 2)
    assert set(world.state.dirty_pairs) == set()


@pytest.mark.rule("K5")
async def test_an_orphan_is_the_sweeps(world: World, writer: DesiredWriter) -> None:
    """A device that is not selected any more: no delete until the brake has released it; then after a fresh read."""
    world.stored(pair(), cell(9))
    world.objects(device(labels={}))
    async with running(writer.run()):
        await settle(writer)
        assert (world.broker.writes, world.kube.calls) == ([], [])
        writer.sweep([pair()])
        await turn()
    assert world.broker.writes == [DELETE]
    assert len(world.kube.verbs("get")) == 2


@pytest.mark.rule("K5")
async def test_a_released_orphan_that_is_wanted_again(world: World, writer: DesiredWriter) -> None:
    """The Deployment came back before the writer's turn: the key stays."""
    world.stored(pair(), cell(9))
    world.objects(device(labels={}))
    async with running(writer.run()):
        writer.sweep([pair()])
        world.objects(device(version="2"))
        await turn()
    assert world.broker.writes == []


async def test_what_is_on_its_way_is_not_swept_twice(world: World, writer: DesiredWriter) -> None:
    """The sweep names an orphan each second until it is gone: one delete is enough."""
    world.stored(pair(), cell(9))
    world.objects(device(labels={}))
    async with running(writer.run()):
        for _ in range(3):
            writer.sweep([pair()])
            await turn()
    assert world.broker.writes == [DELETE]


@pytest.mark.rule("K7", "K2")
async def test_a_report_without_a_key_gets_a_marker(world: World, writer: DesiredWriter) -> None:
    """At revision 0, through the sweep, so that the agent tears down."""
    world.state.report(pair("d1", "old"), report())
    async with running(writer.run()):
        world.stored(pair(), cell(9))
        writer.sweep([pair("d1", "old")])
        await turn()
    assert world.broker.writes == [Write("delete", "d1.old", 0)]


@pytest.mark.rule("K2")
async def test_a_key_that_was_written_during_the_fresh_read(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """The decision was made on another revision: it is made again on this one."""
    world.stored(pair(), cell(9))
    world.objects(device(blocked=True))
    world.kube.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        world.stored(pair(), cell(10, generation=2))
        world.kube.gate.set()
        await turn()
        assert world.broker.writes == []
        await clock.go_on(1.1)
    assert world.broker.writes == [Write("delete", "d1.web", 10)]


@pytest.mark.rule("K2", "K3")
async def test_a_key_that_became_right_during_the_fresh_read(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """Another operator has written what should be there: nothing is left to do, also a second later."""
    world.stored(pair(), marker(9))
    world.kube.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        world.stored(pair(), cell(10))
        world.kube.gate.set()
        await turn()
        world.kube.calls.clear()
        await clock.go_on(1.1)
    assert (world.broker.writes, world.kube.calls) == ([], [])


@pytest.mark.rule("R3")
@pytest.mark.parametrize("still", [False, True], ids=["source-lost", "standstill"])
async def test_a_confirmed_delete_is_not_written_any_more(world: World, writer: DesiredWriter, *, still: bool) -> None:
    """Between the fresh read and the write a source was lost, or the process stood still: it is decided again."""
    world.stored(pair(), cell(9))
    world.objects(device(blocked=True))
    world.kube.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        if still:
            world.stand_still(5)
        else:
            converged(world.recovery, holds=False)
        world.kube.gate.set()
        await turn()
        assert world.broker.writes == []
        converged(world.recovery)
        await settle(writer)
    assert world.broker.writes == [DELETE]


@pytest.mark.rule("R8")
async def test_a_standstill_during_the_fresh_read(world: World, writer: DesiredWriter) -> None:
    """Noticed and mended while the answer was under way: the confirmed delete is of before, and is not written."""
    world.stored(pair(), cell(9))
    world.objects(device(blocked=True))
    world.kube.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        world.stand_still(5)
        world.standstill.check()
        converged(world.recovery)
        world.kube.gate.set()
        await turn()
        assert world.broker.writes == []
        assert set(world.state.dirty_pairs) == {pair()}


@pytest.mark.rule("P2")
async def test_an_api_server_that_is_away_delays_the_delete(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """Without a fresh read nothing is taken away; other writes go on, and it is tried again each second."""
    world.objects(device("d2"))
    world.stored(pair(), cell(9))
    world.objects(device(blocked=True))
    world.kube.refuse = lambda _: PeerAway("503")
    async with running(writer.run()):
        with capture_logs() as logs:
            await settle(writer)
        assert world.broker.writes == [Write("put", "d2.web", 0)]
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["fresh_read_failed"]
        await clock.go_on(1.1)
        assert len(world.broker.writes) == 1
        world.kube.refuse = lambda _: None
        await clock.go_on(1.1)
    assert world.broker.writes[1:] == [DELETE]


async def test_one_fresh_read_serves_so_many_decisions(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches: a fleet that is blocked does not wait for a hundred thousand reads before its first delete."""
    monkeypatch.setattr(desired_writer, "_CHECKED_AT_ONCE_MAX", 2)
    names: list[DeviceId] = [device_id(f"d{number}") for number in range(1, 6)]
    for revision, name in enumerate(names, 9):
        world.stored(pair(name), cell(revision))
        world.objects(device(name, blocked=True))
    async with running(writer.run()):
        await settle(writer)
    assert len(world.broker.writes) == 5
    assert len([call for call in world.kube.calls if call.what == "deployments/web"]) == 3


@pytest.mark.rule("O5")
async def test_the_keys_of_a_device_that_vanished_stay(world: World, writer: DesiredWriter) -> None:
    """Its device-info is still there: no key of its is deleted, and once it is made again none is written."""
    world.stored(pair(), cell(9))
    world.state.introduce(device_id("d1"), {"group": "all"})
    async with running(writer.run()):
        world.state.remove_device(device_id("d1"))
        del world.kube.objects["devices"]["d1"]
        writer.sweep([pair()])
        await settle(writer)
        world.objects(device(uid="made-again"))
        await settle(writer)
    assert world.broker.writes == []
    assert world.broker.revision(DESIRED, "d1.web") == 9
