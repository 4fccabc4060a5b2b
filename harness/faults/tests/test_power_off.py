"""Devices without power: proved by the beats that the broker does not store, and by the one that it stores again."""

from collections.abc import AsyncIterator

import pytest

from fleet.wire import Bucket, Phase
from harness.checks.life import faults_bit
from harness.devices.scripted import ScriptedDevices
from harness.devices.tests.broker import DEADLINE_S, Broker, pair_of
from harness.faults import power_off as power_off_module
from harness.faults.fault import Fault, mend, strike
from harness.faults.power_off import PowerOff
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord
from harness.history import Op
from harness.wait import wait_for

ONE, TWO = pair_of("site.rack.one"), pair_of("two")
NAMES = (ONE.device, TWO.device)
BEAT_EVERY_S = 0.1


@pytest.fixture
async def devices(broker: Broker) -> AsyncIterator[ScriptedDevices]:
    """Two devices, each with one deployment that it runs."""
    await broker.make()
    for pair in (ONE, TWO):
        await broker.desire(pair)
    devices = await ScriptedDevices.start(broker.server.url, NAMES, broker.recorder, beat_every_s=BEAT_EVERY_S)
    await devices.wait_ready(DEADLINE_S)
    await wait_for("both reports", lambda: True if len(devices.reported) == len(NAMES) else None, deadline_s=DEADLINE_S)
    yield devices
    await devices.close()


def off(broker: Broker, devices: ScriptedDevices, *names: str) -> PowerOff:
    return PowerOff(broker.js, devices, names or NAMES, beat_every_s=BEAT_EVERY_S)


async def struck(broker: Broker, fault: Fault) -> list[str]:
    """Apply and heal; what was proved of it."""
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    return [record.event for record in broker.recorder.history().of(FaultRecord)]


async def test_off_and_on(broker: Broker, devices: ScriptedDevices) -> None:
    """Both halves are proved, and stand in the history by device as well."""
    fault = off(broker, devices)
    assert await struck(broker, fault) == ["applied", "proved-active", "healed", "proved-healed"]
    assert faults_bit(broker.recorder.history()).outcome == "pass"
    done = [(op.client, op.action) for op in broker.recorder.history().of(Op) if op.action != "put device-state"]
    assert done == [(name, action) for action in ("silence", "resume") for name in NAMES]
    assert (fault.target, off(broker, devices, TWO.device).target) == ("2 devices", "two")


async def test_the_others_go_on(broker: Broker, devices: ScriptedDevices) -> None:
    """One device without power says nothing of the other; its reports stay as they were."""
    await strike(off(broker, devices, ONE.device), broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "proved-active"
    for pair in (ONE, TWO):
        await devices.report(pair, Phase.FAILED, "no disk")
    assert [devices.reported[pair].phase for pair in (ONE, TWO)] == [Phase.RUNNING, Phase.FAILED]


@pytest.mark.parametrize("name", NAMES)
async def test_toothless(broker: Broker, devices: ScriptedDevices, name: str) -> None:
    """A device that beats on is seen, and the run is inconclusive."""
    fault = off(broker, devices, name)
    assert "unproved" in await struck(broker, Toothless(fault))
    assert faults_bit(broker.recorder.history()).outcome == "inconclusive"
    assert "still beat" in broker.recorder.history().of(FaultRecord)[1].detail


async def test_one_that_stays_dark(broker: Broker, devices: ScriptedDevices, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a new beat it is not back, whatever the heal did."""
    monkeypatch.setattr(power_off_module, "_BACK_WITHIN_S", 0.3)
    fault = off(broker, devices)
    await strike(fault, broker.recorder)
    await devices.resume([ONE.device])
    await mend(Toothless(fault), broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"


async def test_one_that_never_beat(broker: Broker) -> None:
    """Its silence is nothing new, and no proof; nor is there one without a broker."""
    await broker.make()
    devices = await ScriptedDevices.start(broker.server.url, NAMES, broker.recorder, beat_every_s=3600)
    await devices.wait_ready(DEADLINE_S)
    await broker.js.purge_stream(f"KV_{Bucket.DEVICE_HEARTBEAT}")
    await strike(off(broker, devices), broker.recorder)
    assert "never beaten" in broker.recorder.history().of(FaultRecord)[-1].detail
    await broker.server.kill()
    fault = off(broker, devices)
    fault._js._timeout = 0.2
    await strike(Toothless(fault), broker.recorder)
    assert "does not say" in broker.recorder.history().of(FaultRecord)[-1].detail
    await devices.close()
