"""Finalizers, registration and forgetting: done once the world asks for them, and fenced."""

import msgspec
import pytest

from fleet.crds import API_VERSION
from fleet.operator.lifecycle import FINALIZER
from fleet.operator.object_writer import ObjectWriter
from fleet.operator.tests.devices import BEAT, INFO, LABELS, STATE, decoded, departing, introduced, settle
from fleet.operator.tests.peers import Write
from fleet.operator.tests.samples import D1, WEB, cell, deployment, device, marker, pair, report
from fleet.operator.tests.turns import converged, running
from fleet.operator.tests.world import World
from fleet.wire import DeviceInfo, info_key


@pytest.fixture
def writer(world: World) -> ObjectWriter:
    return ObjectWriter(world.parts)


@pytest.mark.rule("O1", "O6")
async def test_a_finalizer_is_set(world: World, writer: ObjectWriter) -> None:
    """On both kinds, at the version that was seen, beside those of others."""
    world.objects(deployment(finalizers=("other/one",)), device(finalizers=()))
    async with running(writer.run()):
        await settle(writer)
    assert sorted((call.what, msgspec.json.encode(call.body)) for call in world.kube.verbs("patch")) == [
        (
            "deployments/web",
            f'{{"metadata":{{"resourceVersion":"10","finalizers":["other/one","{FINALIZER}"]}}}}'.encode(),
        ),
        ("devices/d1", f'{{"metadata":{{"resourceVersion":"1","finalizers":["{FINALIZER}"]}}}}'.encode()),
    ]


async def test_what_is_in_order_is_left_alone(world: World, writer: ObjectWriter) -> None:
    """A restart in an unchanged world writes nothing and asks nobody."""
    async with running(writer.run()):
        await settle(writer)
    assert (world.kube.calls, world.broker.writes, world.broker.reads) == ([], [], [])


@pytest.mark.rule("R3")
async def test_nothing_is_done_before_convergence(world: World, writer: ObjectWriter) -> None:
    """The marks wait for it."""
    world.objects(device(finalizers=()))
    converged(world.recovery, holds=False)
    async with running(writer.run()):
        await settle(writer)
        assert world.kube.calls == []
        converged(world.recovery)
        await settle(writer)
    assert len(world.kube.verbs("patch")) == 1


@pytest.mark.rule("R2")
async def test_devices_wait_for_their_infos(world: World, writer: ObjectWriter) -> None:
    """Without device-info nobody knows who has introduced himself; Deployments are looked after meanwhile."""
    world.objects(deployment(finalizers=()))
    introduced(world)
    world.recovery.lost("device-info", "gone")
    async with running(writer.run()):
        await settle(writer)
        assert [call.what for call in world.kube.calls] == ["deployments/web"]
        world.recovery.current("device-info")
        await settle(writer)
    assert "d1" in world.kube.objects["devices"]


@pytest.mark.rule("O4", "E1")
async def test_a_device_is_registered(world: World, writer: ObjectWriter) -> None:
    """With the labels of its device-info and our finalizer; it is told in an Event."""
    introduced(world)
    async with running(writer.run()), running(world.announcer.run()):
        await settle(writer)
    created = world.kube.objects["devices"]["d1"]
    assert created == {
        "apiVersion": API_VERSION,
        "kind": "Device",
        "metadata": {"name": "d1", "finalizers": [FINALIZER]},
        "spec": {"labels": LABELS},
    }
    (event,) = world.kube.events.values()
    assert (event["reason"], event["type"]) == ("Registered", "Normal")


@pytest.mark.rule("O4")
async def test_the_labels_are_those_of_the_info_as_read_afresh(world: World, writer: ObjectWriter) -> None:
    """Not those that were known when it was decided to register the device."""
    introduced(world)
    info = DeviceInfo(arch="x86_64", os="Linux", agent_version="1", labels={"group": "new"}, boot_id="b")
    world.broker.store(*INFO, info.encode())
    async with running(writer.run()):
        await settle(writer)
    assert world.kube.objects["devices"]["d1"]["spec"] == {"labels": {"group": "new"}}


@pytest.mark.rule("R9")
async def test_an_info_that_is_garbage_by_now_changes_nothing(world: World, writer: ObjectWriter) -> None:
    """The labels that were known stay."""
    introduced(world)
    world.broker.store(*INFO, b"garbage")
    async with running(writer.run()):
        await settle(writer)
    assert world.kube.objects["devices"]["d1"]["spec"] == {"labels": LABELS}


@pytest.mark.rule("O5")
async def test_a_device_that_vanished_is_made_again(world: World, writer: ObjectWriter) -> None:
    """Somebody took its finalizer and deleted it; its device-info is still there, and so is soon its Device."""
    world.broker.store(*INFO, b"{}")
    world.state.introduce(D1, LABELS)
    async with running(writer.run()):
        await settle(writer)
        assert world.kube.calls == []
        del world.kube.objects["devices"]["d1"]
        world.state.remove_device(D1)
        await settle(writer)
    assert [call.verb for call in world.kube.calls] == ["create"]


async def test_a_device_that_another_operator_registered_is_not_told_again(world: World, writer: ObjectWriter) -> None:
    """The name is taken: that is what was wanted."""
    introduced(world)
    world.kube.put(device(labels={"theirs": "yes"}))
    async with running(writer.run()), running(world.announcer.run()):
        await settle(writer)
    assert world.kube.events == {}
    assert decoded(world).labels == {"theirs": "yes"}


@pytest.mark.rule("O3")
@pytest.mark.parametrize("value", [None, "never"])
async def test_a_device_that_was_forgotten_meanwhile_is_not_registered(
    world: World, writer: ObjectWriter, value: str | None
) -> None:
    """Its info is read afresh: a marker or no trace means that the news of it are on their way."""
    introduced(world)
    if value is None:
        world.broker.store(*INFO, None)
    else:
        del world.broker.stored[INFO]
    async with running(writer.run()):
        await settle(writer)
    assert (world.broker.reads, world.kube.calls) == ([info_key(D1)], [])


@pytest.mark.rule("O3", "K2")
async def test_a_device_is_forgotten(world: World, writer: ObjectWriter) -> None:
    """All that it has published gets a marker at its revision; then, and not before, it loses the finalizer."""
    departing(world)
    async with running(writer.run()):
        await settle(writer)
        assert sorted(world.broker.writes) == [Write("delete", BEAT[1], 3), Write("delete", INFO[1], 2)]
        assert world.kube.verbs("patch") == []
        world.state.introduce(D1, None)
        await settle(writer)
    assert decoded(world).finalizers == ()


@pytest.mark.rule("O3")
async def test_a_report_is_forgotten_too(world: World, writer: ObjectWriter) -> None:
    """A report about a deployment whose key has its marker goes with the device."""
    departing(world)
    world.state.desire(pair(), cell(20))
    world.state.report(pair(), report())
    world.state.desire(pair(), marker(21))
    async with running(writer.run()):
        await settle(writer)
        assert Write("delete", STATE[1], 1) in world.broker.writes
        assert len(world.broker.writes) == 3
        world.state.introduce(D1, None)
        await settle(writer)
        assert world.kube.verbs("patch") == []
        world.state.report(pair(), None)
        await settle(writer)
    assert decoded(world).finalizers == ()


@pytest.mark.rule("O2", "O3")
async def test_keys_that_are_left_hold_the_finalizer(world: World, writer: ObjectWriter) -> None:
    """Neither the Deployment nor the Device that are being deleted goes before its last key."""
    world.stored(pair(), cell(20))
    world.objects(deployment(deleting=True), device(deleting=True))
    async with running(writer.run()):
        await settle(writer)
        assert (world.kube.calls, world.broker.writes) == ([], [])
        world.state.desire(pair(), marker(21))
        await settle(writer)
    assert {call.what for call in world.kube.verbs("patch")} == {"deployments/web", "devices/d1"}


@pytest.mark.rule("O3")
@pytest.mark.parametrize("place", ["empty", "taken", "unreadable", "let-go"])
async def test_the_one_that_took_its_place_is_not_forgotten(world: World, writer: ObjectWriter, place: str) -> None:
    """What is published belongs to the Device that is there now, which the informer is about to say."""
    departing(world)
    del world.kube.objects["devices"]["d1"]
    match place:
        case "taken":
            world.kube.put(device())
        case "unreadable":
            world.kube.put({"kind": "Device", "metadata": {"name": "d1"}, "spec": 1})
        case "let-go":
            world.kube.put(device(deleting=True, finalizers=("other/one",)))
        case _:
            pass
    async with running(writer.run()):
        await settle(writer)
    assert ([call.verb for call in world.kube.calls], world.broker.writes) == (["get"], [])


async def test_what_is_gone_already_is_not_deleted_again(world: World, writer: ObjectWriter) -> None:
    """A marker or no trace is left as it is."""
    departing(world)
    world.broker.store(*INFO, None)
    del world.broker.stored[BEAT]
    async with running(writer.run()):
        await settle(writer)
    assert world.broker.writes == []


async def test_a_removed_deployment_is_no_step(world: World, writer: ObjectWriter) -> None:
    """A mark of what is gone meanwhile asks for nothing."""
    world.state.dirty_deployments.add(WEB)
    world.state.remove_deployment(WEB)
    async with running(writer.run()):
        await settle(writer)
    assert world.kube.calls == []


@pytest.mark.rule("K8")
async def test_a_device_that_goes_with_its_definition_is_not_forgotten(world: World, writer: ObjectWriter) -> None:
    """What it has published is what it will be registered from."""
    departing(world)
    world.kube.going = ("devices",)
    async with running(writer.run()):
        await settle(writer)
    assert (world.broker.writes, world.kube.verbs("patch")) == ([], [])
