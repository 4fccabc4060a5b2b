"""The loop that writes desired-state: only while converged, fenced, never twice, and again after a conflict."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from nats.js.client import JetStreamContext
from structlog.testing import capture_logs

from fleet.bus import writes
from fleet.errors import Conflict, PeerAway
from fleet.operator import writers
from fleet.operator.metrics import Metrics
from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.operator.tests.samples import cell, device, marker, pair
from fleet.operator.tests.turns import DEADLINE_S, converged, turn
from fleet.operator.writers import DesiredWriter
from fleet.wire import Bucket, deployment_name, device_id

WEB = deployment_name("web")
Call = tuple[str, str, int]


class Nats:
    """Stands for the fenced writes of `fleet.bus`; `answer` decides what becomes of each."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.at_once = 0
        self.at_once_max = 0
        self.answer: Callable[[str], BaseException | None] = lambda _: None
        self.gate = asyncio.Event()
        self.gate.set()
        self._news = asyncio.Event()

    async def put(self, _: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        assert bucket is Bucket.DESIRED_STATE
        assert value
        return await self._call("put", key, expected)

    async def delete(self, _: JetStreamContext, bucket: Bucket, key: str, *, expected: int) -> int:
        assert bucket is Bucket.DESIRED_STATE
        return await self._call("delete", key, expected)

    async def _call(self, operation: str, key: str, expected: int) -> int:
        self.calls.append((operation, key, expected))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        self._news.set()
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if error := self.answer(key):
            raise error
        return 1000 + len(self.calls)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.calls) < count:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def nats(monkeypatch: pytest.MonkeyPatch) -> Nats:
    nats = Nats()
    monkeypatch.setattr(writes, "put", nats.put)
    monkeypatch.setattr(writes, "delete", nats.delete)
    monkeypatch.setattr(writers, "_RETRY_S", 0.01)
    return nats


@pytest.fixture
async def writer(state: FleetState, recovery: Recovery, nats: Nats) -> AsyncIterator[DesiredWriter]:
    assert nats is not None
    # The JetStream context is only handed through, and `Nats` does not look at it.
    js = JetStreamContext.__new__(JetStreamContext)
    writer = DesiredWriter(state, recovery, js, Metrics())
    task = asyncio.create_task(writer.run())
    yield writer
    task.cancel()
    await asyncio.wait({task})


async def test_nothing_is_written_before_convergence(writer: DesiredWriter, nats: Nats, recovery: Recovery) -> None:
    """Dirty pairs wait, and orphans are not complained about; the first wake-up after convergence writes them."""
    converged(recovery, holds=False)
    writer._state.desire(pair("unknown"), cell())
    with capture_logs() as logs:
        writer.wake()
        await turn()
    assert nats.calls == []
    assert logs == []
    converged(recovery)
    writer.wake()
    await nats.until(1)
    assert nats.calls == [("put", "d1.web", 0)]


async def test_what_is_right_is_not_written(writer: DesiredWriter, nats: Nats, state: FleetState) -> None:
    """A restart in an unchanged world writes nothing."""
    state.desire(pair(), cell())
    writer.wake()
    await turn()
    assert nats.calls == []


async def test_a_key_that_is_no_longer_wanted_is_deleted(writer: DesiredWriter, nats: Nats, state: FleetState) -> None:
    """A delete is fenced by the revision that was seen."""
    state.desire(pair(), cell(9))
    state.upsert_device(device(labels={}))
    writer.wake()
    await nats.until(1)
    assert nats.calls == [("delete", "d1.web", 9)]


async def test_the_echo_prevents_a_second_write(writer: DesiredWriter, nats: Nats, state: FleetState) -> None:
    """Until the bucket showed the write the key is left alone; then it is decided on what is there."""
    writer.wake()
    await nats.until(1)
    await turn()
    state.dirty_pairs.add(pair())
    writer.wake()
    await turn()
    assert len(nats.calls) == 1
    state.desire(pair(), cell(1001))
    writer.heard(pair())
    writer.wake()
    await turn()
    assert len(nats.calls) == 1
    state.desire(pair(), marker(1002))
    writer.wake()
    await nats.until(2)
    assert nats.calls[1] == ("put", "d1.web", 1002)


async def test_an_echo_that_was_faster_is_enough(writer: DesiredWriter, nats: Nats, state: FleetState) -> None:
    """News before the acknowledgement frees the key with it, and it is decided again at once."""
    nats.gate.clear()
    writer.wake()
    await nats.until(1)
    state.desire(pair(), marker(1002))
    writer.heard(pair())
    nats.gate.set()
    await nats.until(2)
    assert nats.calls[1] == ("put", "d1.web", 1002)


async def test_a_replay_clears_the_echo(writer: DesiredWriter, nats: Nats) -> None:
    """A write that the replayed bucket does not show is made again."""
    writer.wake()
    await nats.until(1)
    await turn()
    writer.restarted()
    writer.wake()
    await nats.until(2)
    assert nats.calls == [("put", "d1.web", 0)] * 2


async def test_a_conflict_is_decided_again(writer: DesiredWriter, nats: Nats, state: FleetState) -> None:
    """Somebody was faster: with what they wrote there may be nothing left to write, or another revision to replace."""
    nats.answer = lambda _: Conflict("wrong last sequence") if len(nats.calls) == 1 else None
    writer.wake()
    await nats.until(1)
    state.desire(pair(), cell(50, image="web:0"))
    await nats.until(2)
    assert nats.calls == [("put", "d1.web", 0), ("put", "d1.web", 50)]


async def test_a_failed_write_waits_before_it_is_tried_again(
    writer: DesiredWriter, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    """News of other keys does not turn a failing write into a storm."""
    monkeypatch.setattr(writers, "_RETRY_S", 3600)
    nats.answer = lambda _: PeerAway("no answer")
    writer.wake()
    await nats.until(1)
    for _ in range(50):
        writer.wake()
        await turn()
    assert len(nats.calls) == 1


async def test_a_lost_source_stops_what_was_decided(
    writer: DesiredWriter, nats: Nats, state: FleetState, recovery: Recovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes whose turn has not come when a source is lost are not made; they are decided after the replay."""
    monkeypatch.setattr(writers, "_WRITES_AT_ONCE_MAX", 1)
    state.upsert_device(device("d2"))
    nats.gate.clear()
    writer.wake()
    await nats.until(1)
    converged(recovery, holds=False)
    nats.gate.set()
    await turn()
    assert len(nats.calls) == 1
    assert len(state.dirty_pairs) == 1
    converged(recovery)
    writer.wake()
    await nats.until(2)
    assert {key for _, key, _ in nats.calls} == {"d1.web", "d2.web"}


async def test_writes_are_decided_when_their_turn_comes(
    writer: DesiredWriter, nats: Nats, state: FleetState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pair that stopped being wanted while it waited is not written any more."""
    monkeypatch.setattr(writers, "_WRITES_AT_ONCE_MAX", 1)
    state.upsert_device(device("d2"))
    nats.gate.clear()
    writer.wake()
    await nats.until(1)
    (_, first, _) = nats.calls[0]
    other = "d2" if first == "d1.web" else "d1"
    state.remove_device(device_id(other))
    nats.gate.set()
    await turn()
    assert len(nats.calls) == 1


async def test_not_more_than_so_many_writes_at_once(writer: DesiredWriter, nats: Nats, state: FleetState) -> None:
    """A fleet is written in bounded pieces, all of it."""
    for number in range(500):
        state.upsert_device(device(f"x{number}"))
    nats.gate.clear()
    writer.wake()
    await nats.until(128)
    await turn()
    nats.gate.set()
    await nats.until(501)
    assert nats.at_once_max == 128


async def test_a_crash_in_a_write_ends_the_loop(state: FleetState, recovery: Recovery, nats: Nats) -> None:
    """What is no trouble of the peer is raised, not logged away."""
    nats.answer = lambda _: ZeroDivisionError()
    writer = DesiredWriter(state, recovery, JetStreamContext.__new__(JetStreamContext), Metrics())
    writer.wake()
    with pytest.raises(ExceptionGroup) as crash:
        async with asyncio.timeout(DEADLINE_S):
            await writer.run()
    assert crash.group_contains(ZeroDivisionError)
