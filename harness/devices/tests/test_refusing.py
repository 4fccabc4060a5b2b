"""A desired state that cannot be understood: the device keeps to the last good one, and says so, on a real broker."""

from collections.abc import AsyncIterator, Callable

import pytest

from fleet.wire import Bucket, DeviceState, Pair, Phase, decode_device_state, state_key
from harness.devices.acting import REFUSED
from harness.devices.scripted import ScriptedDevices
from harness.devices.tests.broker import DEADLINE_S, Broker, desired_by, pair_of
from harness.devices.writing import DELETE_STATE
from harness.wait import wait_for

ONE, IDLE = pair_of("site.rack.one"), pair_of("idle")


@pytest.fixture
async def devices(broker: Broker) -> AsyncIterator[ScriptedDevices]:
    """One device that runs what it was told to, and one that was told nothing."""
    await broker.make()
    await broker.desire(ONE)
    devices = await ScriptedDevices.start(broker.server.url, [ONE.device, IDLE.device], broker.recorder)
    await devices.wait_ready(DEADLINE_S)
    await until("a report", lambda: ONE in devices.reported)
    yield devices
    await devices.close()


async def until(what: str, true: Callable[[], bool]) -> None:
    await wait_for(what, lambda: True if true() else None, deadline_s=DEADLINE_S)


def error_of(devices: ScriptedDevices, pair: Pair) -> str:
    return (devices.reported[pair].last_error or "") if pair in devices.reported else ""


async def stored(broker: Broker, pair: Pair) -> DeviceState:
    return decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(pair)))[0])


@pytest.mark.parametrize("value", [b"", b"{", b'{"owner":{}}'], ids=["empty", "cut short", "missing fields"])
async def test_it_keeps_to_the_last_good_one(broker: Broker, devices: ScriptedDevices, value: bytes) -> None:
    """Same phase, same owner, and the reason; nothing is taken down."""
    before = devices.reported[ONE]
    await broker.desire(ONE, value)
    await until("the refusal", lambda: error_of(devices, ONE).startswith(REFUSED))
    said = await stored(broker, ONE)
    assert (said.phase, said.owner) == (before.phase, before.owner)
    assert said.last_event_at > before.last_event_at
    assert devices.desired[ONE] == desired_by()
    assert not [op for op in broker.ops() if op.action == DELETE_STATE]


async def test_it_is_over_when_a_good_one_comes(broker: Broker, devices: ScriptedDevices) -> None:
    """The same value as before is enough: it reports once more, without the reason."""
    await broker.desire(ONE, b"{")
    await until("the refusal", lambda: bool(error_of(devices, ONE)))
    await broker.desire(ONE)
    await until("a clean report", lambda: not error_of(devices, ONE))
    assert (await stored(broker, ONE)).phase is Phase.RUNNING


async def test_without_a_good_one_there_is_nothing_to_say(broker: Broker, devices: ScriptedDevices) -> None:
    """A device that never had any waits for one that it can understand."""
    await broker.desire(IDLE, b"{")
    await broker.desire(IDLE)
    await until("its first report", lambda: IDLE in devices.reported)
    assert [op.detail for op in broker.ops("ok") if op.client == IDLE.device] == [
        devices.reported[IDLE].encode().decode()
    ]


async def test_it_is_taken_down_by_a_marker_alone(broker: Broker, devices: ScriptedDevices) -> None:
    """Garbage is none; a delete marker after it is."""
    await broker.desire(ONE, b"{")
    await until("the refusal", lambda: bool(error_of(devices, ONE)))
    await broker.undesire(ONE)
    await until("the report to be forgotten", lambda: ONE not in devices.reported)
