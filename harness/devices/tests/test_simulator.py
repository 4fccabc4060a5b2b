"""Simulated devices on a real broker: on the wire they are agents, in trouble too."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from nats.aio.msg import Msg

from fleet.wire import (
    REPUBLISH_SUBJECT,
    Bucket,
    Pair,
    Phase,
    decode_device_info,
    decode_device_state,
    decode_heartbeat,
    desired_subject,
    heartbeat_key,
    info_key,
    kv_subject,
    state_key,
    stream_name,
)
from harness.devices.simulator.device import Device
from harness.devices.simulator.figures import Progress, Summary
from harness.devices.simulator.fleet import SimulatedFleet
from harness.devices.simulator.plan import Plan
from harness.devices.tests.broker import Broker, desired_by, pair_of
from harness.errors import ServiceError
from harness.wait import wait_for

DEADLINE_S = 30.0
FENCE = "Nats-Expected-Last-Subject-Sequence"


@dataclass
class Simulation:
    fleet: SimulatedFleet
    stop: asyncio.Event
    told: list[Progress] = field(default_factory=list)
    summary: Summary | None = None

    async def joined(self, count: int) -> None:
        await wait_for(f"{count} devices to join", lambda: self._joined() >= count or None, deadline_s=DEADLINE_S)

    async def reports(self, count: int) -> None:
        figures = self.fleet.figures
        await wait_for(f"{count} reports", lambda: figures.reports >= count or None, deadline_s=DEADLINE_S)

    def _joined(self) -> int:
        return sum(device.joined for device in self.fleet._devices)


@contextlib.asynccontextmanager
async def simulated(plan: Plan) -> AsyncIterator[Simulation]:
    """Its summary is there after the block."""
    told: list[Progress] = []
    simulation = Simulation(SimulatedFleet(plan, told.append), asyncio.Event(), told)
    running = asyncio.create_task(simulation.fleet.run(simulation.stop))
    try:
        yield simulation
    finally:
        simulation.stop.set()
        simulation.summary = await running


@dataclass
class Wire:
    """Everything that devices send to their buckets, as it was sent."""

    messages: list[Msg] = field(default_factory=list)

    async def take(self, message: Msg) -> None:
        if not message.subject.startswith(kv_subject(Bucket.DESIRED_STATE, "")):
            self.messages.append(message)


async def test_three_hundred_devices_do_what_agents_do(broker: Broker) -> None:
    """They wait for the buckets, beat before they report, fence every write, and no consumer is made."""
    wire = Wire()
    await broker.client.subscribe("$KV.>", cb=wire.take)
    plan = Plan(broker.server.url, 300, {"group": "g{i%4}"}, state_changes_per_s=200, failed_percent=20, beat_every_s=2)
    pairs = [pair_of(plan.name(number)) for number in range(300)]
    async with simulated(plan) as simulation:
        await wait_for("word of the wait", lambda: _says(simulation, "buckets"), deadline_s=DEADLINE_S)
        await broker.make()
        for pair in pairs:
            await broker.desire(pair)
        await simulation.joined(300)
        await simulation.reports(1_000)
        for bucket in Bucket:
            assert (await broker.js.stream_info(stream_name(bucket))).state.consumer_count == 0
    info = decode_device_info((await broker.last(Bucket.DEVICE_INFO, info_key(pairs[7].device)))[0])
    assert info.labels == {"group": "g3"}
    assert all(FENCE in (message.headers or {}) for message in wire.messages)
    beaten = set[str]()
    for message in wire.messages:
        if message.subject.startswith("$KV.device-heartbeat."):
            beaten.add(message.subject.rpartition(".")[2])
        elif message.subject.startswith("$KV.device-state."):
            assert message.subject.split(".")[3] in beaten
    states = [decode_device_state((await broker.last(Bucket.DEVICE_STATE, state_key(pair)))[0]) for pair in pairs]
    assert {state.owner for state in states} == {desired_by().owner}
    assert {Phase.RUNNING, Phase.FAILED} == {state.phase for state in states}
    summary = _summary(simulation)
    assert summary.is_clean
    assert (summary.joined_ever, summary.figures.conflicts, summary.figures.errors) == (300, 0, 0)
    assert summary.figures.reports == sum(m.subject.startswith("$KV.device-state.") for m in wire.messages)
    assert summary.figures.beats > 300


async def test_it_takes_what_is_newer_and_confirms_what_is_not(broker: Broker) -> None:
    """A higher generation is taken when it is told; a marker that nobody stored deletes nothing, a stored one does."""
    await broker.make()
    pair = pair_of("sim-00000")
    await broker.desire(pair)
    async with simulated(Plan(broker.server.url, 2)) as simulation:
        await simulation.reports(2)
        figures = simulation.fleet.figures
        await wait_for("both to have read all", lambda: figures.reads == 4 or None, deadline_s=DEADLINE_S)
        await broker.client.publish(desired_subject(pair), b"", headers={"KV-Operation": "DEL"})
        await wait_for("the leader to be asked", lambda: figures.reads == 5 or None, deadline_s=DEADLINE_S)
        await broker.desire(pair, desired_by(generation=2).encode())
        await _stored_generation(broker, pair, 2)
        await broker.desire(pair, b"{")
        await wait_for("the refusal", lambda: _phase(broker, pair, Phase.FAILED), deadline_s=DEADLINE_S)
        # Lower, and stored: an operator may do that, so it is confirmed and taken.
        await broker.desire(pair, desired_by(generation=1).encode())
        await _stored_generation(broker, pair, 1)
        assert figures.deletions == 0
        await broker.undesire(pair)
        await wait_for("the report to go", lambda: figures.deletions or None, deadline_s=DEADLINE_S)
        _, headers = await broker.last(Bucket.DEVICE_STATE, state_key(pair))
        assert headers["KV-Operation"] == "DEL"
        assert headers[FENCE] != "0"
    assert _summary(simulation).is_clean


async def test_it_comes_back_when_the_broker_does(broker: Broker) -> None:
    """A killed broker costs connections; once it is back every device joins again, without a herd, and catches up."""
    await broker.make()
    plan = Plan(broker.server.url, 60, connections=3, state_changes_per_s=50, starts_per_s=100)
    for number in range(60):
        await broker.desire(pair_of(plan.name(number)))
    async with simulated(plan) as simulation:
        await simulation.joined(60)
        await simulation.reports(150)
        await broker.server.kill()
        await wait_for("the loss", lambda: simulation._joined() == 0 or None, deadline_s=DEADLINE_S)
        await broker.server.restart()
        await simulation.joined(60)
        await simulation.reports(simulation.fleet.figures.reports + 50)
    summary = _summary(simulation)
    assert summary.figures.connections_lost == 3
    assert summary.is_clean


async def test_it_says_again_what_it_is_asked_for(broker: Broker) -> None:
    """On the operator's request facts and reports are written once more, and also when the bucket was made again."""
    await broker.make()
    plan = Plan(broker.server.url, 10, beat_every_s=1)
    pairs = [pair_of(plan.name(number)) for number in range(10)]
    for pair in pairs:
        await broker.desire(pair)
    async with simulated(plan) as simulation:
        await simulation.reports(20)
        await broker.client.publish(REPUBLISH_SUBJECT, b'{"window_s":1}')
        await simulation.reports(30)
        assert simulation.fleet.figures.facts == 20
        for bucket in (Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT):
            await broker.js.delete_stream(stream_name(bucket))
            await broker.make([bucket])
        await broker.client.publish(REPUBLISH_SUBJECT, b'{"window_s":1}')
        for bucket in (Bucket.DEVICE_STATE, Bucket.DEVICE_HEARTBEAT):
            await _stored_keys(broker, bucket, 10)
    for pair in pairs:
        value, _ = await broker.last(Bucket.DEVICE_STATE, state_key(pair))
        assert decode_device_state(value).phase is Phase.RUNNING
        value, _ = await broker.last(Bucket.DEVICE_HEARTBEAT, heartbeat_key(pair.device))
        assert decode_heartbeat(value).instance_id.startswith("sim-")


async def test_a_second_run_says_nothing_new(broker: Broker) -> None:
    """Facts and reports that are stored already are not written again; beats go on over the old ones."""
    await broker.make()
    await broker.desire(pair_of("sim-00000"))
    async with simulated(Plan(broker.server.url, 1)) as first:
        await first.reports(2)
    async with simulated(Plan(broker.server.url, 1)) as second:
        await second.joined(1)
    figures = _summary(second).figures
    assert (figures.beats, figures.facts, figures.reports, figures.conflicts) == (1, 0, 0, 0)


async def test_it_ends_by_itself(broker: Broker) -> None:
    """After its seconds, although no bucket was ever there; the summary says that nobody joined."""
    summary = await SimulatedFleet(Plan(broker.server.url, 5, seconds=0.2), lambda _: None).run(asyncio.Event())
    assert (summary.joined_ever, summary.unsettled, summary.is_clean) == (0, 5, False)


async def test_no_broker_is_said_at_once(broker: Broker) -> None:
    """A wrong address is an error, with the address and without the password."""
    await broker.server.kill()
    plan = Plan(broker.server.url.replace("//", "//user:secret@"), 1)
    with pytest.raises(ServiceError, match=r"no broker answers at nats://127\.0\.0\.1:\d+: ") as told:
        await SimulatedFleet(plan, lambda _: None).run(asyncio.Event())
    assert "secret" not in str(told.value)


async def test_an_error_of_our_own_ends_it(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in what a message calls is raised, not taken for trouble of the connection."""
    await broker.make()

    def break_down(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    told: list[Progress] = []
    fleet = SimulatedFleet(Plan(broker.server.url, 1, seconds=DEADLINE_S), told.append)
    running = asyncio.create_task(fleet.run(asyncio.Event()))
    await wait_for("the first reads", lambda: fleet.figures.reads == 2 or None, deadline_s=DEADLINE_S)
    monkeypatch.setattr(Device, "hear", break_down)
    await broker.desire(pair_of("sim-00000"))
    with pytest.raises(ZeroDivisionError):
        await running


async def test_it_loads_no_server_that_another_tells_of(broker: Broker) -> None:
    """A cluster names its other servers to each client; whoever named one did not name those."""
    async with simulated(Plan(broker.server.url, 1)) as simulation:
        await wait_for("the connection", lambda: simulation.told or None, deadline_s=DEADLINE_S)
        client = simulation.fleet._lines[0].client
        assert client is not None
        await client._process_info({"connect_urls": ["192.0.2.1:4222"]})
        assert client.discovered_servers == []


async def test_a_connection_that_is_given_up_is_made_anew(broker: Broker) -> None:
    """The library closes some for good: there is another then, and what is told arrives there."""
    await broker.make()
    async with simulated(Plan(broker.server.url, 1)) as simulation:
        await simulation.joined(1)
        client = simulation.fleet._lines[0].client
        assert client is not None
        await client.close()
        await wait_for("the end of the old one", lambda: simulation._joined() == 0 or None, deadline_s=DEADLINE_S)
        await simulation.joined(1)
        await broker.desire(pair_of("sim-00000"))
        await simulation.reports(2)
    assert _summary(simulation).is_clean


def _says(simulation: Simulation, text: str) -> bool | None:
    return any(text in str(progress) for progress in simulation.told) or None


def _summary(simulation: Simulation) -> Summary:
    assert simulation.summary is not None
    return simulation.summary


async def _stored_generation(broker: Broker, pair: Pair, generation: int) -> None:
    async def probe() -> bool | None:
        value, _ = await broker.last(Bucket.DEVICE_STATE, state_key(pair))
        state = decode_device_state(value)
        return (state.owner.generation, state.phase) == (generation, Phase.RUNNING) or None

    await wait_for(f"generation {generation} to run", probe, deadline_s=DEADLINE_S)


async def _stored_keys(broker: Broker, bucket: Bucket, count: int) -> None:
    async def probe() -> bool | None:
        return await broker.messages(bucket) == count or None

    await wait_for(f"{count} keys in {bucket}", probe, deadline_s=DEADLINE_S)


async def _phase(broker: Broker, pair: Pair, phase: Phase) -> bool | None:
    value, _ = await broker.last(Bucket.DEVICE_STATE, state_key(pair))
    return decode_device_state(value).phase is phase or None
