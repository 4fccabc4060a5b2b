"""The write load reaches its rate, leaves nothing in flight and every pair running."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fleet.wire import Bucket, Phase
from harness.devices import load as load_module
from harness.devices.load import WriteLoad
from harness.devices.scripted import ScriptedDevices
from harness.devices.tests.broker import DEADLINE_S, Broker, pair_of
from harness.errors import ServiceError, WaitTimeout
from harness.wait import wait_for

PAIRS = [pair_of(f"device-{number}") for number in range(3)]


@pytest.fixture
async def devices(broker: Broker) -> AsyncIterator[ScriptedDevices]:
    """Three devices that run one deployment each."""
    await broker.make()
    for pair in PAIRS:
        await broker.desire(pair)
    devices = await ScriptedDevices.start(broker.server.url, [pair.device for pair in PAIRS], broker.recorder)
    await devices.wait_ready(DEADLINE_S)
    await acknowledged(broker, len(PAIRS))
    yield devices
    await devices.close()


async def acknowledged(broker: Broker, count: int) -> None:
    await wait_for(
        f"{count} acknowledged writes", lambda: len(broker.ops("ok")) >= count or None, deadline_s=DEADLINE_S
    )


async def test_it_reaches_its_rate_and_settles_every_pair(broker: Broker, devices: ScriptedDevices) -> None:
    """The outcome of each write is recorded once; after `stop` nothing is written and nobody is Failed."""
    before = len(broker.ops())
    clock = asyncio.get_running_loop().time
    began_s = clock()
    load = WriteLoad(devices, 400).start()
    await acknowledged(broker, before + 400)
    took_s = clock() - began_s
    await load.stop()
    ops = broker.ops()
    # Slower by far on a machine that is busy with something else, but never faster.
    assert 0.95 <= took_s < 3.0
    assert {op.outcome for op in ops} == {"ok"}
    assert '"phase":"Failed"' in "".join(op.detail for op in ops)
    assert {state.phase for state in devices.reported.values()} == {Phase.RUNNING}
    state = await broker.js.stream_info("KV_device-state")
    assert state.state.last_seq == len(ops)
    assert {task.get_name() for task in devices._tasks} == {"heartbeats"}


async def test_the_next_report_does_not_hide_a_failed_one(devices: ScriptedDevices) -> None:
    """A Failed that is stored after the Running which was on its way before it is settled, too."""
    load = WriteLoad(devices, 1)
    await asyncio.gather(load._report(PAIRS[0], 50), load._report(PAIRS[0], 0))
    assert devices.reported[PAIRS[0]].phase is Phase.FAILED
    load.start()
    await load.stop()
    assert devices.reported[PAIRS[0]].phase is Phase.RUNNING


async def test_stop_has_a_deadline(broker: Broker, devices: ScriptedDevices, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that never answers again ends the load with an error, and nothing of it goes on."""
    monkeypatch.setattr(load_module, "_STOP_WITHIN_S", 0.2)
    load = WriteLoad(devices, 200).start()
    await acknowledged(broker, 10)
    await broker.server.kill()
    with pytest.raises(WaitTimeout, match="no acknowledgement"):
        await load.stop()
    written = len(broker.ops())
    await load.stop()
    assert len(broker.ops()) == written
    assert broker.ops("info")


async def test_stop_without_start_and_twice(broker: Broker, devices: ScriptedDevices) -> None:
    """Ending what does not run is nothing."""
    written = await broker.messages(Bucket.DEVICE_STATE)
    await WriteLoad(devices, 100).stop()
    assert await broker.messages(Bucket.DEVICE_STATE) == written


async def test_devices_with_nothing_to_report(broker: Broker) -> None:
    """A load that would write nothing says so instead of being no load."""
    await broker.make()
    devices = await ScriptedDevices.start(broker.server.url, ["lonely"], broker.recorder)
    await devices.wait_ready(DEADLINE_S)
    with pytest.raises(ServiceError, match="has anything to report"):
        await WriteLoad(devices, 10).start().stop()
    await devices.close()
