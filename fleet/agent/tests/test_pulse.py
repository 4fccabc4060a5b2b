"""Beats come for ever, each one newer than the last; facts are stored when they differ."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.js.client import JetStreamContext

from fleet.agent.link import Link
from fleet.agent.pulse import Pulse
from fleet.agent.tests.brokers import DEVICE, Operator, Seen, running, within
from fleet.bus import writes
from fleet.bus.entry import Entry
from fleet.errors import PeerAway
from fleet.wire import Bucket, DeviceInfo, Heartbeat, decode_heartbeat, heartbeat_key, info_key

BEATS, INFOS = Bucket.DEVICE_HEARTBEAT, Bucket.DEVICE_INFO
KEY, INFO_KEY = heartbeat_key(DEVICE), info_key(DEVICE)
FACTS = DeviceInfo("aarch64", "Debian", "1.2.3", {"tier": "edge"}, "boot-1")
HOUR_S = 3600.0


class Beating:
    def __init__(self, link: Link, operator: Operator) -> None:
        self.link = link
        self.busy = False
        self.disturbed: Seen[None] = Seen()
        self._operator = operator

    @asynccontextmanager
    async def beats(self, every_s: float = HOUR_S, instance_id: str = "i1") -> AsyncIterator[Pulse]:
        pulse = Pulse(
            self.link,
            DEVICE,
            FACTS,
            instance_id=instance_id,
            every_s=every_s,
            busy=lambda: self.busy,
            disturbed=lambda: self.disturbed.saw(None),
        )
        async with running(self.link.run(), pulse.run()):
            yield pulse

    async def stores(self, sequence: int, *, busy: bool = False, instance_id: str = "i1") -> int:
        """Wait until this beat is stored; its revision."""
        wanted = Heartbeat("1.2.3", instance_id, sequence, busy).encode()
        entry = await self._operator.stored(BEATS, KEY, lambda entry: entry is not None and entry.value == wanted)
        assert entry is not None
        return entry.revision

    async def tells_facts(self, *, but: int = 0) -> int:
        """Wait until the facts are stored, at another revision than `but`; their revision."""

        def are_they(entry: Entry | None) -> bool:
            return entry is not None and entry.value == FACTS.encode() and entry.revision != but

        entry = await self._operator.stored(INFOS, INFO_KEY, are_they)
        assert entry is not None
        return entry.revision


@pytest.fixture
def agent(link: Link, operator: Operator) -> Beating:
    return Beating(link, operator)


@pytest.mark.rule("A26")
async def test_beats_are_numbered_and_tell_what_is_so(agent: Beating, operator: Operator) -> None:
    """Each is one more than the last; whether the agent is busy is asked for each."""
    await operator.make()
    async with agent.beats(every_s=0.02) as pulse:
        assert not pulse.beaten.is_set()
        await agent.tells_facts()
        last = 0
        while last < 10:
            beat = decode_heartbeat(await operator.value(BEATS, KEY))
            assert last <= beat.sequence <= pulse.sequence + 1
            assert beat == Heartbeat("1.2.3", "i1", beat.sequence, busy=False)
            last = beat.sequence
        agent.busy = True

        def is_busy(entry: Entry | None) -> bool:
            return entry is not None and decode_heartbeat(entry.value or b"").busy

        await operator.stored(BEATS, KEY, is_busy)
    assert not agent.disturbed


async def test_the_first_beat_comes_before_the_facts(
    agent: Beating, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And both wait for their buckets, one by one."""
    wrote: Seen[Bucket] = Seen()
    put = writes.put

    async def note(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        revision = await put(js, bucket, key, value, expected=expected)
        wrote.saw(bucket)
        return revision

    monkeypatch.setattr(writes, "put", note)
    await operator.make(INFOS)
    async with agent.beats() as pulse:
        await within(agent.link.up.wait())
        assert await operator.stored(INFOS, INFO_KEY, lambda _: True) is None
        await operator.make(BEATS)
        await within(pulse.beaten.wait())
        await agent.tells_facts()
        # Stored is sooner than told.
        await wrote.until(lambda buckets: len(buckets) > 1)
    assert wrote == [BEATS, INFOS]


async def test_missing_facts_hold_up_no_beat(agent: Beating, operator: Operator) -> None:
    """The bucket of facts comes late: beats go on, and the facts follow."""
    await operator.make(BEATS)
    async with agent.beats(every_s=0.02) as pulse:

        def three(entry: Entry | None) -> bool:
            return entry is not None and decode_heartbeat(entry.value or b"").sequence > 3

        await operator.stored(BEATS, KEY, three)
        await operator.make(INFOS)
        await agent.tells_facts()
        assert pulse.beaten.is_set()


@pytest.mark.rule("A26")
async def test_a_beat_at_once_after_a_reconnect(agent: Beating, operator: Operator) -> None:
    """With the storage kept the facts are left alone; wiped, both come again as soon as there are buckets."""
    await operator.make()
    async with agent.beats():
        await agent.stores(1)
        facts = await agent.tells_facts()
        await operator.restart()
        await agent.stores(2)
        assert await agent.tells_facts() == facts
        await operator.restart(wiped=True)
        await operator.make()
        await agent.stores(3)
        assert await agent.tells_facts(but=facts)
        assert await operator.consumers() == 0


async def test_a_forgotten_device_introduces_itself_again(agent: Beating, operator: Operator) -> None:
    """Its info and its heartbeat were deleted: the next beat notices, and whoever publishes reports is told."""
    await operator.make()
    async with agent.beats() as pulse:
        await agent.stores(1)
        facts = await agent.tells_facts()
        await operator.delete(INFOS, INFO_KEY)
        await operator.delete(BEATS, KEY)
        pulse._beat_now.set()
        await agent.stores(2)
        await agent.tells_facts(but=facts)
        await agent.disturbed.until(bool)


async def test_a_bucket_that_is_made_again_while_beats_fail(
    agent: Beating, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No write meets a conflict then: that the last beat is gone tells the same."""
    failed: Seen[str] = Seen()
    put = writes.put

    async def note(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        try:
            return await put(js, bucket, key, value, expected=expected)
        except PeerAway as e:
            failed.saw(str(e))
            raise

    monkeypatch.setattr(writes, "put", note)
    await operator.make()
    async with agent.beats() as pulse:
        await agent.stores(1)
        facts = await agent.tells_facts()
        await operator.drop(BEATS)
        await operator.drop(INFOS)
        pulse._beat_now.set()
        await failed.until(bool)
        await operator.make()
        await agent.stores(2)
        assert await agent.tells_facts(but=facts)
        await agent.disturbed.until(bool)


@pytest.mark.rule("A27")
async def test_facts_that_are_stored_are_not_written_again(agent: Beating, operator: Operator) -> None:
    """Unless they differ, or somebody asks."""
    await operator.make()
    old = await operator.store(INFOS, INFO_KEY, FACTS.encode())
    async with agent.beats(instance_id="first") as pulse:
        await agent.stores(1, instance_id="first")
        assert await agent.tells_facts() == old
        pulse.again()
        again = await agent.tells_facts(but=old)
        await agent.stores(2, instance_id="first")
    await operator.store(INFOS, INFO_KEY, b"of an older agent")
    async with agent.beats(instance_id="second"):
        await agent.tells_facts(but=again)
        await agent.stores(1, instance_id="second")


async def test_a_beat_whose_answer_was_lost(
    agent: Beating, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored all the same: the next one is one more."""
    put = writes.put
    sent: list[int] = []

    async def lossy(js: JetStreamContext, bucket: Bucket, key: str, value: bytes, *, expected: int) -> int:
        revision = await put(js, bucket, key, value, expected=expected)
        if bucket is BEATS:
            sent.append(decode_heartbeat(value).sequence)
            if len(sent) == 1:
                raise PeerAway("no answer")
        return revision

    monkeypatch.setattr(writes, "put", lossy)
    await operator.make()
    async with agent.beats() as pulse:
        await within(pulse.beaten.wait())
        assert pulse.sequence == 2
    assert sent == [1, 2]


@pytest.mark.rule("A29")
async def test_another_agent_of_the_same_device(agent: Beating, operator: Operator) -> None:
    """Its beats are overwritten, garbage too: ours go on where they were."""
    await operator.make()
    async with agent.beats() as pulse:
        await agent.stores(1)
        for sequence, value in ((2, Heartbeat("9", "other", 700, busy=True).encode()), (3, b"garbage")):
            await operator.store(BEATS, KEY, value)
            pulse._beat_now.set()
            await agent.stores(sequence)
    assert agent.disturbed
