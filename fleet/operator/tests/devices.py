"""Devices that come and go: what a test of the object writer begins with."""

import msgspec

from fleet.kube.objects import Device, decode_device
from fleet.operator.object_writer import ObjectWriter
from fleet.operator.tests.samples import D1, cell, device, pair, report
from fleet.operator.tests.turns import turn
from fleet.operator.tests.world import World
from fleet.wire import Bucket, heartbeat_key, info_key, state_key

INFO = (Bucket.DEVICE_INFO, info_key(D1))
STATE = (Bucket.DEVICE_STATE, state_key(pair()))
BEAT = (Bucket.DEVICE_HEARTBEAT, heartbeat_key(D1))
LABELS = {"group": "all"}


async def settle(writer: ObjectWriter) -> None:
    writer.wake()
    await turn()


def introduced(world: World) -> None:
    """d1 has published its facts; there is no Device of it."""
    world.state.remove_device(D1)
    world.kube.objects["devices"].clear()
    world.broker.store(*INFO, b"{}")
    world.state.introduce(D1, LABELS)


def departing(world: World) -> None:
    """d1 is being deleted; it has published all there is, and no key of its is left."""
    for number, (bucket, key) in enumerate((STATE, INFO, BEAT), 1):
        world.broker.store(bucket, key, b"{}", revision=number)
    world.state.introduce(D1, LABELS)
    world.state.report(pair(), report())
    world.objects(device(deleting=True))
    # The key's marker: without it the report would make the pair one that nobody wants (K7).
    world.state.desire(pair(), cell(20))
    world.state.desire(pair(), None)
    world.state.report(pair(), None)
    world.state.report(pair("d1", "old"), None)


def decoded(world: World) -> Device:
    return decode_device(msgspec.json.encode(world.kube.objects["devices"]["d1"]))
