"""Fresh reads: what the API server has, one by one or as a list, and never half an answer."""

import pytest

from fleet.errors import PeerAway
from fleet.operator.fresh import read_afresh
from fleet.operator.tests.peers import Call
from fleet.operator.tests.samples import deployment, device, pair
from fleet.operator.tests.world import World
from fleet.wire import deployment_name, device_id

WEB = deployment_name("web")


@pytest.mark.rule("K3")
async def test_a_few_objects_are_read_one_by_one(world: World) -> None:
    """Each object once, however many pairs name it; what is not there is in no mapping."""
    world.kube.put(device("d2", labels={"a": "b"}), device("d9"))
    fresh = await read_afresh(world.kube, [pair(), pair("d2"), pair("d3"), pair("d1", "gone")])
    assert fresh.deployments == {"web": deployment()}
    assert fresh.devices == {"d1": device(), "d2": device("d2", labels={"a": "b"})}
    assert fresh.unreadable == set()
    assert sorted(call.what for call in world.kube.calls) == [
        "deployments/gone",
        "deployments/web",
        "devices/d1",
        "devices/d2",
        "devices/d3",
    ]


@pytest.mark.rule("K3")
async def test_many_objects_are_listed(world: World) -> None:
    """Beyond 32 names one list is cheaper than a request each."""
    names = [f"x{number}" for number in range(33)]
    world.kube.put(*(device(name) for name in names))
    fresh = await read_afresh(world.kube, [pair(name) for name in names])
    assert world.kube.calls == [Call("get", "deployments/web"), Call("list", "devices")]
    assert fresh.devices.keys() == {*names, "d1"}


@pytest.mark.rule("R10")
@pytest.mark.parametrize("count", [1, 40], ids=["one-by-one", "listed"])
async def test_what_cannot_be_read_is_not_gone(world: World, count: int) -> None:
    """It is in neither mapping, and said to be there."""
    names = [f"x{number}" for number in range(count)]
    world.kube.put(*(device(name) for name in names))
    world.kube.objects["devices"]["x0"] = {"metadata": {"name": "x0"}, "spec": {"labels": 3}}
    fresh = await read_afresh(world.kube, [pair(name) for name in names])
    assert fresh.unreadable == {"x0"}
    assert device_id("x0") not in fresh.devices
    assert len(fresh.devices) >= count - 1


@pytest.mark.rule("P2")
async def test_a_list_with_an_object_without_a_name_is_garbage(world: World) -> None:
    """No API server writes that: it is trouble of the peer, and not a crash of ours."""
    names = [f"x{number}" for number in range(40)]
    world.kube.objects["devices"]["x0"] = {"spec": {}}
    with pytest.raises(PeerAway, match="list of devices"):
        await read_afresh(world.kube, [pair(name) for name in names])


@pytest.mark.parametrize("count", [3, 40], ids=["one-by-one", "listed"])
async def test_a_read_that_fails_fails_as_a_whole(world: World, count: int) -> None:
    """Half an answer would say that the other half is gone; after a failure nothing more is asked for."""
    names = [f"x{number}" for number in range(count)]
    world.kube.put(*(device(name) for name in names))
    refused = {"devices", "devices/x1"}
    world.kube.refuse = lambda call: PeerAway("503") if call.what in refused else None
    with pytest.raises(PeerAway, match="503"):
        await read_afresh(world.kube, [pair(name) for name in names])


async def test_not_all_at_once(world: World) -> None:
    """After a failure the other reads are not begun."""
    names = [f"x{number}" for number in range(30)]
    world.kube.refuse = lambda call: PeerAway("503") if call.what.startswith("devices/") else None
    with pytest.raises(PeerAway, match="503"):
        await read_afresh(world.kube, [pair(name) for name in names])
    assert len([call for call in world.kube.calls if call.what.startswith("devices/")]) < 30
