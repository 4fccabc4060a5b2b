"""Scripted devices on a real broker: they do what the contract asks of an agent, also over a link that is cut."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.client import JetStreamContext

from fleet.wire import (
    Bucket,
    DesiredState,
    Pair,
    Phase,
    decode_device_info,
    decode_device_state,
    decode_heartbeat,
    heartbeat_key,
    info_key,
    state_key,
)
from harness.devices import scripted as scripted_module
from harness.devices.reading import stored_desired
from harness.devices.scripted import ScriptedDevices
from harness.devices.tests.broker import DEADLINE_S, Broker, desired_by, pair_of
from harness.env import Foundation
from harness.errors import ServiceError
from harness.leaks import consumers
from harness.services import nats_client
from harness.services.toxiproxy import Proxy
from harness.wait import wait_for

ONE, TWO = pair_of("site.rack.one"), pair_of("two")
IDS = [ONE.device, TWO.device]


@pytest.fixture
async def link(foundation: Foundation, broker: Broker) -> AsyncIterator[Proxy]:
    """The devices' link to the broker, which can be cut."""
    proxy = await foundation.toxiproxy.create("devices-under-test", broker.server.address)
    yield proxy
    await proxy.delete()


@pytest.fixture
async def devices(broker: Broker, link: Proxy) -> AsyncIterator[ScriptedDevices]:
    devices = await ScriptedDevices.start(f"nats://{link.listen}", IDS, broker.recorder)
    yield devices
    await devices.close()


async def until(what: str, true: Callable[[], bool]) -> None:
    await wait_for(what, lambda: True if true() else None, deadline_s=DEADLINE_S)


async def reported(devices: ScriptedDevices, pair: Pair, generation: int = 1, uid: str = "uid") -> None:
    """Wait until that report was acknowledged."""

    def there() -> bool:
        state = devices.reported.get(pair)
        return state is not None and (state.owner.uid, state.owner.generation) == (uid, generation)

    await until(f"a report of {pair} of generation {generation}", there)


async def test_they_wait_for_the_buckets(broker: Broker, devices: ScriptedDevices) -> None:
    """Agents make no buckets: they say who they are once all of them are there."""
    await broker.make([Bucket.DESIRED_STATE, Bucket.DEVICE_INFO, Bucket.DEVICE_STATE])
    assert not devices.ready.is_set()
    await broker.make([Bucket.DEVICE_HEARTBEAT])
    await devices.wait_ready(DEADLINE_S)
    for device in devices.ids:
        decode_device_info((await broker.last(Bucket.DEVICE_INFO, info_key(device)))[0])
        decode_heartbeat((await broker.last(Bucket.DEVICE_HEARTBEAT, heartbeat_key(device)))[0])


async def test_waiting_has_a_deadline(devices: ScriptedDevices) -> None:
    """Without buckets they are never ready, and the error says what was waited for."""
    with pytest.raises(Exception, match="2 scripted devices to be ready"):
        await devices.wait_ready(0.1)


async def test_they_act_on_what_is_stored_already(broker: Broker, devices: ScriptedDevices) -> None:
    """What was desired before they came is reported as well as what comes later."""
    await broker.make([Bucket.DESIRED_STATE])
    await broker.desire(ONE)
    await broker.make([bucket for bucket in Bucket if bucket is not Bucket.DESIRED_STATE])
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(TWO)
    for pair in (ONE, TWO):
        await reported(devices, pair)
        state = decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(pair)))[0])
        assert (state.phase, state.owner) == (Phase.RUNNING, desired_by().owner)


async def test_their_reading_leaves_no_consumer(broker: Broker, devices: ScriptedDevices) -> None:
    """What is stored was read, and no consumer of it is left on the stream."""
    await broker.make()
    await broker.desire(ONE)
    await devices.wait_ready(DEADLINE_S)
    await reported(devices, ONE)
    assert set((await consumers(broker.client)).values()) == {frozenset()}


async def test_only_their_own(broker: Broker, devices: ScriptedDevices) -> None:
    """A key of another device, of a device whose id extends theirs, or without sense is not theirs."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    for pair in (pair_of("three"), pair_of("x.two")):
        await broker.desire(pair)
    await broker.desire(ONE, b"{")
    await broker.desire(TWO)
    await reported(devices, TWO)
    assert devices.desired.keys() == {TWO}
    assert await broker.messages(Bucket.DEVICE_STATE) == 1


async def test_policy_decides_what_is_reported(broker: Broker, devices: ScriptedDevices) -> None:
    """A script says which deployment fails on which device."""

    def fails(_: Pair, __: DesiredState) -> tuple[Phase, str | None]:
        return Phase.FAILED, "no such image"

    devices.policy = fails
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    state = decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(ONE)))[0])
    assert (state.phase, state.last_error) == (Phase.FAILED, "no such image")


async def test_the_same_desired_state_is_acted_on_once(broker: Broker, devices: ScriptedDevices) -> None:
    """A key that is written again with the same value gives no new report; a new generation gives one."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    for generation in (1, 1, 2):
        await broker.desire(ONE, desired_by(generation=generation).encode())
    await reported(devices, ONE, generation=2)
    assert len(broker.ops("ok")) == 2


@pytest.mark.parametrize("operation", ["DEL", "PURGE"])
async def test_they_forget_on_a_delete_marker(broker: Broker, devices: ScriptedDevices, operation: str) -> None:
    """The report of a deployment that is gone is deleted; what is desired again is reported again."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    await broker.undesire(ONE, operation)
    await until("the report to be deleted", lambda: broker.ops("ok")[-1].action == "delete device-state")
    assert (await broker.last(Bucket.DEVICE_STATE, state_key(ONE)))[1]["KV-Operation"] == "DEL"
    await devices.report(ONE, Phase.RUNNING)
    assert ONE not in devices.reported
    await broker.desire(ONE)
    await reported(devices, ONE)


async def test_event_times_never_step_back(broker: Broker, devices: ScriptedDevices) -> None:
    """Many reports of one pair at once have times that rise in the order they are stored in."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    await asyncio.gather(*(devices.report(ONE, Phase.RUNNING) for _ in range(50)))
    ops = broker.ops("ok")
    times = [decode_device_state(op.detail.encode()).last_event_at for op in ops]
    assert len(times) == 51
    assert times == sorted(set(times))
    revisions = [op.revision for op in ops]
    assert revisions == sorted(revisions, key=lambda revision: revision or 0)


async def test_a_cut_link_loses_and_doubles_no_outcome(broker: Broker, devices: ScriptedDevices, link: Proxy) -> None:
    """Every report is acknowledged exactly once, in order, whatever attempts nobody can tell of come before."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    await link.disable()
    reports = [asyncio.create_task(devices.report(ONE, phase)) for phase in (Phase.FAILED, Phase.RUNNING)]
    await until("an attempt to come to nothing", lambda: bool(broker.ops("info")))
    await link.enable()
    await asyncio.gather(*reports)
    phases = [decode_device_state(op.detail.encode()).phase for op in broker.ops("ok")]
    assert phases == [Phase.RUNNING, Phase.FAILED, Phase.RUNNING]
    stored = decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(ONE)))[0])
    assert stored == devices.reported[ONE]


async def test_what_happened_during_a_cut_is_made_up_for(broker: Broker, devices: ScriptedDevices, link: Proxy) -> None:
    """What was put or deleted while the link was down is found by reading again on reconnect."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    await link.disable()
    await broker.undesire(ONE)
    await broker.desire(TWO)
    await link.enable()
    await reported(devices, TWO)
    await until("the report to be deleted", lambda: "delete device-state" in {op.action for op in broker.ops("ok")})
    assert devices.desired.keys() == {TWO}


async def test_absence_is_no_deletion(broker: Broker, devices: ScriptedDevices, link: Proxy) -> None:
    """A bucket that is empty or gone on reconnect is a loss: what runs goes on, and its report stays."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    await link.disable()
    await broker.js.purge_stream("KV_desired-state")
    await broker.desire(TWO)
    await link.enable()
    await reported(devices, TWO)
    assert devices.desired.keys() == {ONE, TWO}
    assert {op.action for op in broker.ops("ok")} == {"put device-state"}


async def test_a_late_read_does_not_undo_what_was_heard(
    broker: Broker, devices: ScriptedDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came over the subscription is newer than what a read that began before it finds."""
    read = stored_desired
    held = asyncio.Event()
    begun = asyncio.Event()

    async def slowly(js: JetStreamContext) -> list[tuple[str, bytes | None]]:
        found = await read(js)
        begun.set()
        await held.wait()
        return found

    monkeypatch.setattr(scripted_module, "stored_desired", slowly)
    await broker.make([Bucket.DESIRED_STATE])
    await broker.desire(ONE)
    await broker.desire(TWO)
    await broker.make([bucket for bucket in Bucket if bucket is not Bucket.DESIRED_STATE])
    async with asyncio.timeout(DEADLINE_S):
        await begun.wait()
    await broker.desire(ONE, desired_by(generation=2).encode())
    await reported(devices, ONE, generation=2)
    await broker.undesire(TWO)
    await until("the marker to be heard", lambda: TWO in devices._heard)
    held.set()
    await devices.wait_ready(DEADLINE_S)
    assert devices.desired == {ONE: desired_by(generation=2)}


async def test_close_during_a_write_leaves_its_outcome(broker: Broker, devices: ScriptedDevices, link: Proxy) -> None:
    """A write that is cut short may have been stored: the history says that nobody can tell."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await link.add_toxic("hang", "timeout", attributes={"timeout": 0})
    await broker.desire(ONE)
    devices.take(ONE, desired_by().encode())
    await until("the write to be on its way", lambda: devices._states.is_writing(ONE))
    await asyncio.gather(devices.close(), devices.close())
    assert [op.outcome for op in broker.ops()] == ["info"]
    assert not devices._tasks


async def test_a_client_that_swallows_the_cancellation_is_no_failure(
    broker: Broker, devices: ScriptedDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report under way ends by its next attempt, and the end of the devices stays an orderly one."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    began = asyncio.Event()

    async def swallowing(*_: object, **__: object) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise NatsTimeoutError from None

    monkeypatch.setattr(JetStreamContext, "publish", swallowing)
    devices.take(ONE, desired_by().encode())
    await asyncio.wait_for(began.wait(), DEADLINE_S)
    await devices.close()


async def test_closed_devices_take_no_report(broker: Broker, devices: ScriptedDevices) -> None:
    """Whoever goes on reporting after the end is told, and does not try for ever."""
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await reported(devices, ONE)
    await devices.close()
    with pytest.raises(ServiceError, match="closed"):
        await devices.report(ONE, Phase.RUNNING)


async def test_no_broker(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is not there is one clear error, within the deadline."""
    monkeypatch.setattr(nats_client, "CONNECT_WITHIN_S", 0.3)
    await broker.server.kill()
    with pytest.raises(ServiceError, match="no broker at"):
        await ScriptedDevices.start(broker.server.url, IDS, broker.recorder)


async def test_a_failure_of_ours_is_told(broker: Broker, devices: ScriptedDevices) -> None:
    """A script that raises fails the test that waits, and the close."""

    def broken(_: Pair, __: DesiredState) -> tuple[Phase, str | None]:
        raise ZeroDivisionError("script")

    devices.policy = broken
    await broker.make()
    await devices.wait_ready(DEADLINE_S)
    await broker.desire(ONE)
    await until("the failure to be noticed", lambda: devices._failure is not None)
    with pytest.raises(ServiceError, match="script"):
        await devices.wait_ready(1)
    with pytest.raises(ServiceError, match="script"):
        await devices.close()
    devices._failure = None
