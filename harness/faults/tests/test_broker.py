"""The broker dies, loses its store, or its disk fails: proved by asking it, and over once it is healed."""

from collections.abc import Callable

import pytest

from fleet.wire import Bucket
from harness.devices.tests.broker import Broker, pair_of
from harness.env import Foundation
from harness.errors import ServiceError
from harness.faults.broker_kill import BrokerKilled, StoreWiped
from harness.faults.disk import SMALL_DISK_BYTES, DiskFull, StoreReadOnly
from harness.faults.fault import Fault, mend, strike
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord
from harness.services.nats import NatsServer

PAIR = pair_of("d1")
WHOLE_LIFE = ["applied", "proved-active", "healed", "proved-healed"]
Make = Callable[[Broker, Foundation], Fault]


def killed(broker: Broker, _: Foundation) -> Fault:
    return BrokerKilled(broker.server, broker.js)


def wiped(broker: Broker, _: Foundation) -> Fault:
    return StoreWiped(broker.server, broker.js)


def full(broker: Broker, _: Foundation) -> Fault:
    return DiskFull(broker.server, broker.js)


def read_only(broker: Broker, foundation: Foundation) -> Fault:
    return StoreReadOnly(broker.server, broker.js, foundation.warden)


def events(broker: Broker) -> list[str]:
    return [record.event for record in broker.recorder.history().of(FaultRecord)]


@pytest.mark.parametrize(("make", "kept"), [(killed, True), (wiped, False), (read_only, True), (full, True)])
async def test_struck_and_mended(broker: Broker, foundation: Foundation, make: Make, kept: bool) -> None:
    """Proved both times, twice in a row; what was stored is there afterwards, but for a store that was wiped."""
    if make is full:
        await broker.server.move_to_small_disk(SMALL_DISK_BYTES)
    for _ in range(2):
        await broker.make()
        await broker.desire(PAIR)
        fault = make(broker, foundation)
        assert fault.available() is None
        await strike(fault, broker.recorder)
        await mend(fault, broker.recorder)
        await fault.close()
        if kept:
            assert await broker.messages(Bucket.DESIRED_STATE) == 1
    assert events(broker) == WHOLE_LIFE * 2


@pytest.mark.parametrize("make", [killed, wiped, full, read_only])
async def test_without_teeth(broker: Broker, foundation: Foundation, make: Make) -> None:
    """A broker that goes on answering and storing proves nothing."""
    await broker.make()
    await strike(Toothless(make(broker, foundation)), broker.recorder)
    assert events(broker) == ["applied", "unproved"]


async def test_not_healed(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is still there after all was not wiped."""
    await broker.make()
    monkeypatch.setattr(NatsServer, "wipe", NatsServer.kill)
    fault = StoreWiped(broker.server, broker.js)
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    assert events(broker) == ["applied", "unproved", "healed", "unproved"]


async def test_the_disk_of_everybody_is_not_filled(broker: Broker) -> None:
    """Without a small disk of its own nothing is filled."""
    with pytest.raises(ServiceError, match="not on a disk of its own"):
        await DiskFull(broker.server, broker.js).apply()


async def test_an_end_without_heal_leaves_no_mount(broker: Broker, foundation: Foundation) -> None:
    """Closed, and the server stopped, nothing is mounted any more."""
    await broker.server.move_to_small_disk(SMALL_DISK_BYTES)
    fault = StoreReadOnly(broker.server, broker.js, foundation.warden)
    await fault.apply()
    assert broker.server.store_path.is_mount()
    await fault.close()
    await broker.server.stop()
    assert not broker.server.store_path.is_mount()
    assert not [name for kind, name in foundation.warden.registered_things if kind == "mount"]
