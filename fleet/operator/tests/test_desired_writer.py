"""The loop that writes desired-state: only while converged, fenced, never twice, and again after a conflict."""

import pytest

from fleet.operator import desired_writer
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.tests.peers import Write
from fleet.operator.tests.samples import WEB, cell, deployment, device, malformed, pair
from fleet.operator.tests.turns import Clock, converged, running, turn
from fleet.operator.tests.world import DESIRED, World
from fleet.wire import device_id

PUT = Write("put", "d1.web", 0)


async def settle(writer: DesiredWriter) -> None:
    """Wake it, and let it do what there is to do."""
    writer.wake()
    await turn()


async def show(world: World, writer: DesiredWriter) -> None:
    """Bring the bucket's news, as its replica does."""
    for news in world.news():
        writer.heard(news)
    await settle(writer)


@pytest.mark.rule("R3")
async def test_nothing_is_written_before_convergence(world: World, writer: DesiredWriter) -> None:
    """Dirty pairs wait; the first wake-up after convergence writes them."""
    converged(world.recovery, holds=False)
    async with running(writer.run()):
        await settle(writer)
        assert world.broker.writes == []
        assert world.state.dirty_pairs
        converged(world.recovery)
        await settle(writer)
    assert world.broker.writes == [PUT]


async def test_what_is_right_is_not_written(world: World, writer: DesiredWriter) -> None:
    """A restart in an unchanged world writes nothing, and asks nobody."""
    world.stored(pair(), cell())
    async with running(writer.run()):
        await settle(writer)
    assert (world.broker.writes, world.kube.calls) == ([], [])


@pytest.mark.rule("K2")
async def test_a_write_names_what_it_replaces(world: World, writer: DesiredWriter) -> None:
    """0 for a new key, else the revision that was seen; a put over our own older score needs no fresh read."""
    world.objects(device("d2"))
    world.stored(pair("d2"), cell(9, image="web:0"))
    async with running(writer.run()):
        await settle(writer)
    assert sorted(world.broker.writes) == [PUT, Write("put", "d2.web", 9)]
    assert world.broker.stored[DESIRED, "d2.web"].value == deployment().wanted
    assert world.kube.calls == []


@pytest.mark.rule("K2")
async def test_a_conflict_is_decided_again(world: World, writer: DesiredWriter, clock: Clock) -> None:
    """Somebody was faster: the decision is made again on what they wrote, once it was seen, and in a second."""
    world.broker.store(DESIRED, "d1.web", cell(50, image="web:0").value.encode(), revision=50)  # type: ignore[union-attr] # `cell` has one
    async with running(writer.run()):
        await settle(writer)
        assert world.broker.writes == [PUT]
        await show(world, writer)
        assert world.broker.writes == [PUT, Write("put", "d1.web", 50)]
        await show(world, writer)
        await clock.go_on(2)
    assert len(world.broker.writes) == 2
    assert world.state.desired.is_settled(pair())
    assert world.count('fleet_desired_writes_total{operation="put",outcome="conflict"}') == 1
    assert writer.trouble(WEB) is None


@pytest.mark.rule("K2")
async def test_a_conflict_over_the_right_value_needs_no_second_write(
    world: World, writer: DesiredWriter, clock: Clock
) -> None:
    """Another operator wrote the same: that is what should be there."""
    world.broker.store(DESIRED, "d1.web", deployment().wanted)
    async with running(writer.run()):
        await settle(writer)
        await show(world, writer)
        await clock.go_on(2)
    assert world.broker.writes == [PUT]


async def test_the_echo_prevents_a_second_write(world: World, writer: DesiredWriter) -> None:
    """Until the bucket showed the write the key is left alone; then it is decided on what is there."""
    async with running(writer.run()):
        await settle(writer)
        world.state.dirty_pairs.add(pair())
        await settle(writer)
        assert len(world.broker.writes) == 1
        await show(world, writer)
        assert len(world.broker.writes) == 1
        world.state.upsert_deployment(deployment(generation=2, image="web:2", version="11"))
        await settle(writer)
    assert world.broker.writes == [PUT, Write("put", "d1.web", 1000)]


async def test_an_echo_that_was_faster_is_enough(world: World, writer: DesiredWriter) -> None:
    """News before the acknowledgement frees the key with it, and it is decided again at once."""
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        world.state.upsert_deployment(deployment(generation=2, image="web:2", version="11"))
        world.state.desire(pair(), cell(1000))
        writer.heard(pair())
        world.broker.gate.set()
        await turn()
    assert world.broker.writes == [PUT, Write("put", "d1.web", 1000)]


async def test_a_replay_clears_the_echo(world: World, writer: DesiredWriter) -> None:
    """A write that the replayed bucket does not show is made again."""
    async with running(writer.run()):
        await settle(writer)
        del world.broker.stored[DESIRED, "d1.web"]
        writer.restarted()
        await settle(writer)
    assert world.broker.writes == [PUT, PUT]


@pytest.mark.rule("R3")
async def test_a_lost_source_stops_what_was_decided(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes whose turn has not come when a source is lost are not made; they are decided after the replay."""
    monkeypatch.setattr(desired_writer, "_WRITES_AT_ONCE_MAX", 1)
    world.objects(device("d2"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        converged(world.recovery, holds=False)
        world.broker.gate.set()
        await turn()
        assert len(world.broker.writes) == 1
        assert len(world.state.dirty_pairs) == 1
        converged(world.recovery)
        await settle(writer)
    assert {write.key for write in world.broker.writes} == {"d1.web", "d2.web"}


@pytest.mark.rule("R8")
async def test_a_standstill_discards_what_was_decided(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write that runs first after a standstill notices it; neither it nor what waits behind is made."""
    monkeypatch.setattr(desired_writer, "_WRITES_AT_ONCE_MAX", 1)
    world.objects(device("d2"), device("d3"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        world.stand_still(5)
        world.broker.gate.set()
        await turn()
        assert (len(world.broker.writes), len(world.stills)) == (1, 1)
        assert len(world.state.dirty_pairs) == 2
        converged(world.recovery)
        await settle(writer)
    assert len(world.broker.writes) == 3


@pytest.mark.rule("R8")
async def test_a_standstill_that_is_over_discards_all_the_same(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Current again before their turn came: they are decided again, on what was followed since."""
    monkeypatch.setattr(desired_writer, "_WRITES_AT_ONCE_MAX", 1)
    world.objects(device("d2"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        world.stand_still(5)
        world.standstill.check()
        converged(world.recovery)
        world.broker.gate.set()
        await turn()
        assert len(world.broker.writes) == 1
        assert len(world.state.dirty_pairs) == 1


async def test_writes_are_decided_when_their_turn_comes(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pair that stopped being wanted while it waited is not written any more."""
    monkeypatch.setattr(desired_writer, "_WRITES_AT_ONCE_MAX", 1)
    world.objects(device("d2"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        other = "d2" if world.broker.writes[0].key == "d1.web" else "d1"
        world.state.remove_device(device_id(other))
        world.broker.gate.set()
        await turn()
    assert len(world.broker.writes) == 1


@pytest.mark.rule("K2")
async def test_news_while_a_write_waits_for_its_turn(
    world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The revision that it would have named is gone: it is decided again at once, and not sent to lose."""
    monkeypatch.setattr(desired_writer, "_WRITES_AT_ONCE_MAX", 1)
    world.objects(device("d2"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        other = "d2" if world.broker.writes[0].key == "d1.web" else "d1"
        world.stored(pair(other), cell(50, image="web:0"))
        world.broker.gate.set()
        await turn()
    assert world.broker.writes[1:] == [Write("put", f"{other}.web", 50)]


async def test_not_more_than_so_many_writes_at_once(world: World, writer: DesiredWriter) -> None:
    """A fleet is written in bounded pieces, all of it, and the loop gets its turns meanwhile."""
    for number in range(600):
        world.state.upsert_device(device(f"x{number}"))
    world.broker.gate.clear()
    async with running(writer.run()):
        await settle(writer)
        assert len(world.broker.writes) == 128
        world.broker.gate.set()
        await turn()
    assert (len(world.broker.writes), world.broker.at_once_max) == (601, 128)


@pytest.mark.rule("R9")
async def test_a_malformed_value_is_healed(world: World, writer: DesiredWriter) -> None:
    """Bytes that nobody can read are there all the same: the put names their revision, after a fresh read."""
    world.stored(pair(), malformed(9))
    async with running(writer.run()):
        await settle(writer)
    assert world.broker.writes == [Write("put", "d1.web", 9)]
    assert [call.verb for call in world.kube.calls] == ["get", "get"]
