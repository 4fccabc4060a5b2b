"""Clocks that are wrong: proved by the times that are stored, healed when these are the broker's again."""

from collections.abc import AsyncIterator

import pytest

from fleet.wire import Bucket, Phase, decode_device_state, state_key
from harness.checks.life import faults_bit
from harness.devices.scripted import ScriptedDevices
from harness.devices.tests.broker import DEADLINE_S, Broker, pair_of
from harness.errors import ServiceError
from harness.faults.clock import ClockSkew
from harness.faults.fault import mend, strike
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord
from harness.wait import wait_for

ONE, TWO = pair_of("site.rack.one"), pair_of("two")
AHEAD_S, BEHIND_S = 73 * 365 * 86400.0, -3 * 3600.0


@pytest.fixture
async def devices(broker: Broker) -> AsyncIterator[ScriptedDevices]:
    await broker.make()
    for pair in (ONE, TWO):
        await broker.desire(pair)
    devices = await ScriptedDevices.start(broker.server.url, [ONE.device, TWO.device], broker.recorder)
    await devices.wait_ready(DEADLINE_S)
    await wait_for("reports", lambda: devices.reported.keys() == {ONE, TWO} or None, deadline_s=DEADLINE_S)
    yield devices
    await devices.close()


def events(broker: Broker) -> list[str]:
    return [record.event for record in broker.recorder.history().of(FaultRecord)]


@pytest.mark.parametrize("offs_s", [[AHEAD_S], [BEHIND_S], [AHEAD_S, BEHIND_S]], ids=["ahead", "behind", "jumping"])
async def test_wrong_and_right_again(broker: Broker, devices: ScriptedDevices, offs_s: list[float]) -> None:
    """The one device is off, the other is not; both halves are proved by what is stored."""
    before = devices.reported[TWO]
    skew = ClockSkew(broker.js, devices, [ONE.device], offs_s)
    await strike(skew, broker.recorder)
    stored = decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(ONE)))[0])
    assert abs((stored.last_event_at - before.last_event_at).total_seconds() - offs_s[0]) < 30
    assert devices.reported[TWO] == before
    await mend(skew, broker.recorder)
    assert events(broker) == ["applied", "proved-active", "healed", "proved-healed"]
    assert faults_bit(broker.recorder.history()).outcome == "pass"


async def test_an_agent_never_steps_back(broker: Broker, devices: ScriptedDevices) -> None:
    """A clock that jumps back hours gives an event a millisecond later, by the agent's own rule."""
    await ClockSkew(broker.js, devices, [ONE.device], [AHEAD_S, BEHIND_S]).apply()
    first = devices.reported[ONE].last_event_at
    await devices.report(ONE, Phase.FAILED, "disk full")
    assert (devices.reported[ONE].last_event_at - first).total_seconds() == pytest.approx(0.001)


async def test_that_did_nothing(broker: Broker, devices: ScriptedDevices) -> None:
    """Times like the broker's own are no skew."""
    await strike(Toothless(ClockSkew(broker.js, devices, [ONE.device], [AHEAD_S])), broker.recorder)
    assert events(broker) == ["applied", "unproved"]
    assert faults_bit(broker.recorder.history()).outcome == "inconclusive"


async def test_that_stays(broker: Broker, devices: ScriptedDevices) -> None:
    """A clock that is still off was not healed."""
    skew = ClockSkew(broker.js, devices, [ONE.device], [BEHIND_S])
    await skew.apply()
    with pytest.raises(ServiceError, match="off the broker's clock"):
        await skew.prove_healed()


async def test_a_device_that_has_nothing_to_say(broker: Broker) -> None:
    """Without a report no clock shows: one clear error."""
    await broker.make()
    devices = await ScriptedDevices.start(broker.server.url, ["idle"], broker.recorder)
    try:
        await devices.wait_ready(DEADLINE_S)
        with pytest.raises(ServiceError, match="something to report"):
            await ClockSkew(broker.js, devices, ["idle"], [AHEAD_S]).prove_active()
    finally:
        await devices.close()
