"""Scripted devices beat, fall silent, come back and say all of it again, on a real broker."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import datetime

import pytest

from fleet.wire import (
    REPUBLISH_SUBJECT,
    Bucket,
    DeviceId,
    Pair,
    Phase,
    decode_device_info,
    decode_device_state,
    decode_heartbeat,
    heartbeat_key,
    info_key,
    kv_subject,
    state_key,
    stream_name,
)
from harness.devices.scripted import Labels, ScriptedDevices
from harness.devices.tests.broker import DEADLINE_S, Broker, desired_by, pair_of
from harness.history import Op
from harness.wait import wait_for

ONE, TWO = pair_of("site.rack.one"), pair_of("two")
IDS = [ONE.device, TWO.device]
BEAT_EVERY_S = 0.1


@pytest.fixture
async def devices(broker: Broker) -> AsyncIterator[ScriptedDevices]:
    """Two devices that run what they are told to, with facts that have labels for one of them."""
    await broker.make()
    for pair in (ONE, TWO):
        await broker.desire(pair)
    labels: Labels = {ONE.device: {"tier": "edge"}}
    devices = await ScriptedDevices.start(
        broker.server.url, IDS, broker.recorder, labels=labels, beat_every_s=BEAT_EVERY_S
    )
    devices.republish_window_s_max = 0.2
    await devices.wait_ready(DEADLINE_S)
    await until("both reports", lambda: devices.reported.keys() == {ONE, TWO})
    yield devices
    await devices.close()


async def until(what: str, true: Callable[[], bool]) -> None:
    await wait_for(what, lambda: True if true() else None, deadline_s=DEADLINE_S)


async def sequence(broker: Broker, device: DeviceId) -> int:
    """The number of the newest beat that is stored."""
    return decode_heartbeat((await broker.last(Bucket.DEVICE_HEARTBEAT, heartbeat_key(device)))[0]).sequence


async def beats_on(broker: Broker, device: DeviceId, count: int) -> None:
    """Wait for that many more beats of a device."""
    target = await sequence(broker, device) + count

    async def there() -> bool | None:
        return True if await sequence(broker, device) >= target else None

    await wait_for(f"{count} beats of {device}", there, deadline_s=DEADLINE_S)


def told(broker: Broker, action: str) -> list[str]:
    """Who did something that is told once per device."""
    return [op.client for op in broker.recorder.history().of(Op) if op.action == action and op.outcome == "ok"]


def reports(broker: Broker, pair: Pair) -> int:
    return told(broker, "put device-state").count(pair.device)


async def stored_at(broker: Broker, bucket: Bucket, key: str) -> datetime:
    """By the broker's clock."""
    message = await broker.js.get_last_msg(stream_name(bucket), kv_subject(bucket, key))
    assert message.time is not None
    return message.time


async def test_facts_and_a_beat_come_first(broker: Broker) -> None:
    """A device that reported has a heartbeat from before; its labels are in its facts."""
    await broker.make()
    await broker.desire(TWO)
    devices = await ScriptedDevices.start(
        broker.server.url, IDS, broker.recorder, labels={TWO.device: {"tier": "edge"}}, beat_every_s=3600
    )
    await devices.wait_ready(DEADLINE_S)
    await until("the report", lambda: TWO in devices.reported)
    await devices.close()
    beat_at = await stored_at(broker, Bucket.DEVICE_HEARTBEAT, heartbeat_key(TWO.device))
    assert beat_at < await stored_at(broker, Bucket.DEVICE_STATE, state_key(TWO))
    infos = [decode_device_info((await broker.last(Bucket.DEVICE_INFO, info_key(device)))[0]) for device in IDS]
    assert [dict(info.labels) for info in infos] == [{}, {"tier": "edge"}]


async def test_each_device_beats_once_per_interval(broker: Broker, devices: ScriptedDevices) -> None:
    """Sequences grow by one; no beat is an operation in the history."""
    before = await asyncio.gather(*(sequence(broker, device) for device in IDS))
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    await beats_on(broker, ONE.device, 10)
    rounds = (loop.time() - began_s) / BEAT_EVERY_S
    after = await asyncio.gather(*(sequence(broker, device) for device in devices.ids))
    for first, last in zip(before, after, strict=True):
        assert 5 <= last - first <= rounds + 2
    assert {op.action for op in broker.ops()} == {"put device-state"}


async def test_silence_is_complete(broker: Broker, devices: ScriptedDevices) -> None:
    """No beat, no report and no answer of it comes any more; the other goes on, and the history says since when."""
    await devices.silence([ONE.device])
    frozen = await sequence(broker, ONE.device), reports(broker, ONE)
    assert told(broker, "silence") == [ONE.device]
    await devices.report(ONE, Phase.FAILED, "no power")
    await broker.desire(ONE, desired_by(generation=2).encode())
    await broker.client.publish(REPUBLISH_SUBJECT, b'{"window_s":0}')
    await until("the other to say it again", lambda: reports(broker, TWO) == 2)
    await beats_on(broker, TWO.device, 5)
    assert (await sequence(broker, ONE.device), reports(broker, ONE)) == frozen
    assert devices.reported[ONE].phase is Phase.RUNNING


async def test_resumed_it_makes_up_for_what_it_missed(broker: Broker, devices: ScriptedDevices) -> None:
    """It beats before it reports what changed; what did not change is not reported again."""
    three = pair_of(ONE.device, "other")
    await devices.silence(IDS)
    await broker.undesire(ONE)
    await broker.desire(three)
    before = await sequence(broker, ONE.device)
    await devices.resume(IDS)
    assert await sequence(broker, ONE.device) > before
    await until("the new report", lambda: three in devices.reported)
    await until("the old one to go", lambda: told(broker, "delete device-state") == [ONE.device])
    assert devices.desired.keys() == devices.reported.keys() == {three, TWO}
    assert reports(broker, TWO) == 1
    actions = [op.action for op in broker.ops("ok") if op.client == ONE.device]
    assert actions.index("resume") < len(actions) - 2
    assert set(told(broker, "resume")) == set(IDS)
    await beats_on(broker, ONE.device, 2)


async def test_a_report_that_the_silence_cut_short_is_made_later(broker: Broker, devices: ScriptedDevices) -> None:
    """What it had begun to do when its power went is done when it is back."""
    async with devices._states.turn(ONE):
        await broker.desire(ONE, desired_by(generation=2).encode())
        await until("it to be heard", lambda: devices.desired[ONE].owner.generation == 2)
        silenced = asyncio.create_task(devices.silence([ONE.device]))
        await until("it to be mute", lambda: ONE.device in devices._mute)
    await silenced
    assert devices.reported[ONE].owner.generation == 1
    await devices.resume([ONE.device])
    await until("the report", lambda: devices.reported[ONE].owner.generation == 2)


async def test_forgotten_and_rejoined(broker: Broker, devices: ScriptedDevices) -> None:
    """A wiped device leaves what it had published, and starts from facts and stored state when it comes back."""
    await devices.forget([ONE.device])
    assert devices.desired.keys() == devices.reported.keys() == {TWO}
    assert decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(ONE)))[0]).phase is Phase.RUNNING
    js = broker.js
    for bucket, key in ((Bucket.DEVICE_INFO, info_key(ONE.device)), (Bucket.DEVICE_STATE, state_key(ONE))):
        await js.publish(f"$KV.{bucket}.{key}", b"", headers={"KV-Operation": "DEL"})
    await devices.rejoin([ONE.device])
    await until("the report", lambda: ONE in devices.reported)
    decode_device_info((await broker.last(Bucket.DEVICE_INFO, info_key(ONE.device)))[0])
    assert (told(broker, "forget"), told(broker, "rejoin")) == ([ONE.device], [ONE.device])
    await beats_on(broker, ONE.device, 2)


async def test_they_say_it_all_again_when_asked(broker: Broker, devices: ScriptedDevices) -> None:
    """Facts, a beat and every report as it was, after the buckets of reports were lost and made again."""
    said = {pair: devices.reported[pair] for pair in (ONE, TWO)}
    lost = [bucket for bucket in Bucket if bucket is not Bucket.DESIRED_STATE]
    for bucket in lost:
        await broker.js.delete_stream(stream_name(bucket))
    await broker.make(lost)
    for nonsense in (b"", b"{}", b'{"window_s":"soon"}'):
        await broker.client.publish(REPUBLISH_SUBJECT, nonsense)
    assert await broker.messages(Bucket.DEVICE_STATE) == 0
    await broker.client.publish(REPUBLISH_SUBJECT, json.dumps({"window_s": 30}).encode())
    await until("both reports", lambda: reports(broker, ONE) == reports(broker, TWO) == 2)
    for pair, state in said.items():
        assert decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(pair)))[0]) == state
        decode_device_info((await broker.last(Bucket.DEVICE_INFO, info_key(pair.device)))[0])
        info_at = await stored_at(broker, Bucket.DEVICE_INFO, info_key(pair.device))
        assert info_at < await stored_at(broker, Bucket.DEVICE_STATE, state_key(pair))
    assert sorted(told(broker, "republish")) == sorted(IDS)


async def test_a_cut_link_queues_no_beats(broker: Broker, devices: ScriptedDevices) -> None:
    """What could not be said in time is not said later: a beat tells of now."""
    before = await sequence(broker, ONE.device)
    await broker.server.kill()
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + 10 * BEAT_EVERY_S
    await until("ten intervals without a broker", lambda: loop.time() > ends_at)
    await broker.server.restart()
    await beats_on(broker, ONE.device, 3)
    assert await sequence(broker, ONE.device) - before < 10 + 3
    assert not devices._failure
