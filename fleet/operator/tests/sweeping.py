"""Orphans, and what became of them."""

from fleet.operator import approval
from fleet.operator.tests.samples import cell, device, pair
from fleet.operator.tests.world import World
from fleet.wire import DeviceId, device_id

MANY = 30


def orphans(world: World, count: int, *, first: int = 0) -> list[DeviceId]:
    """So many keys of devices that are not selected (any more)."""
    names = [device_id(f"x{number:03}") for number in range(first, first + count)]
    for name in names:
        world.objects(device(name, labels={}))
        world.stored(pair(name), cell(int(name[1:]) + 1))
    return names


def question(world: World) -> dict[str, str]:
    return world.kube.config_maps.get(approval.NAME, {})


def marked(world: World) -> int:
    return sum(write.operation == "delete" for write in world.broker.writes)
