"""The write load reaches its rate, leaves nothing in flight and every pair running."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest

from fleet.wire import Bucket, DeviceState, Pair, Phase, decode_device_state
from harness.devices import load as load_module
from harness.devices.load import Order, WriteLoad
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


async def test_what_is_far_behind_is_not_made_up_for(
    broker: Broker, devices: ScriptedDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing gets through only so much piles up; afterwards the rate is not exceeded by more than that."""
    monkeypatch.setattr(load_module, "_BEHIND_S_MAX", 0.25)
    clock = asyncio.get_running_loop().time
    before = len(broker.ops())
    async with contextlib.AsyncExitStack() as held:
        for pair in PAIRS:
            await held.enter_async_context(devices._states.turn(pair))
        until_s = clock() + 1.0
        load = WriteLoad(devices, 400).start()
        await wait_for("a second to pass", lambda: clock() > until_s or None, deadline_s=DEADLINE_S)
        assert len(broker.ops()) == before
    await load.stop()
    assert 100 <= len(broker.ops()) - before <= 100 + len(PAIRS)


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


def states(broker: Broker, pair: Pair) -> list[DeviceState]:
    """What the broker acknowledged of one pair, in order."""
    ops = [op for op in broker.ops("ok") if op.client == pair.device]
    return [decode_device_state(op.detail.encode()) for op in sorted(ops, key=lambda op: op.revision or 0)]


@pytest.mark.parametrize("order", ["in order", "disordered", "same times"])
async def test_event_times(broker: Broker, devices: ScriptedDevices, order: Order) -> None:
    """In order they rise; disordered some go back; at the same instant they stand. Whatever is newest says Running."""
    before = len(broker.ops())
    load = WriteLoad(devices, 300, failed_percent=20, order=order).start()
    await acknowledged(broker, before + 60)
    await load.stop()
    for pair in PAIRS:
        times = [state.last_event_at for state in states(broker, pair)]
        steps = [after > at for at, after in itertools.pairwise(times)]
        assert len(steps) > 10
        assert all(steps) is (order == "in order")
        assert any(steps) is (order != "same times")
        assert (len(set(times)) == 1) is (order == "same times")
        newest = max(times)
        last = [state for state in states(broker, pair) if state.last_event_at == newest][-1]
        assert (last.phase, devices.reported[pair]) == (Phase.RUNNING, last)


@pytest.mark.parametrize("order", ["disordered", "same times"])
async def test_what_is_told_late(broker: Broker, devices: ScriptedDevices, order: Order) -> None:
    """One more failure of each pair: of before its newest event, or of the same instant and then the truth."""
    known = dict(devices.reported)
    await WriteLoad(devices, 1, order=order).tell_late()
    for pair in PAIRS:
        late = states(broker, pair)[-1]
        assert late.phase is Phase.FAILED
        if order == "disordered":
            assert late.last_event_at < known[pair].last_event_at
            assert devices.reported[pair] == known[pair]
        else:
            assert late.last_event_at == known[pair].last_event_at
            assert devices.reported[pair] == late


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
