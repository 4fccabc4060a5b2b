"""What is stored is heard, also what was stored while nobody listened; what is not there says nothing."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from fleet.agent import inbox as inbox_module
from fleet.agent.desired import NoValue
from fleet.agent.inbox import Heard, How, Inbox
from fleet.agent.link import Link
from fleet.agent.tests.brokers import DB, DEVICE, WEB, Operator, Seen, desired, ready, running, within
from fleet.bus import direct
from fleet.bus.entry import Entry
from fleet.wire import Bucket, DeploymentName, Pair, desired_key, desired_subject

BUCKET = Bucket.DESIRED_STATE
KEY = desired_key(Pair(DEVICE, WEB))
TOLD, READ = How.TOLD, How.READ


class Listening(Seen[Heard]):
    """An inbox and what it told; while `open` is not set, it is busy with the first word."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.open = asyncio.Event()
        self.open.set()
        self.inbox = Inbox(link, DEVICE, self.take)
        self.link = link

    async def take(self, heard: Heard) -> None:
        self.saw(heard)
        await self.open.wait()

    @asynccontextmanager
    async def listens(self) -> AsyncIterator[None]:
        async with running(self.link.run(), self.inbox.run()):
            yield

    @property
    def brief(self) -> list[tuple[str, object, How]]:
        return [(heard.deployment, heard.word, heard.how) for heard in self]

    async def hears(self, deployment: str, word: object, how: How) -> None:
        await self.until(lambda _: (deployment, word, how) in self.brief)


@pytest.fixture
def heard(link: Link) -> Listening:
    return Listening(link)


@pytest.mark.rule("A20")
async def test_what_is_stored_is_read_then_what_is_written_is_told(heard: Listening, operator: Operator) -> None:
    """In order, values and delete markers; what other devices run costs nothing; there is no consumer."""
    await operator.make()
    await operator.store(BUCKET, KEY, desired(1))
    await operator.delete(BUCKET, desired_key(Pair(DEVICE, DB)))
    async with asyncio.TaskGroup() as group:
        for number in range(2000):
            group.create_task(operator.js.publish(f"$KV.desired-state.other{number}.web", b"x", timeout=10))
    async with heard.listens():
        await heard.until(lambda seen: len(seen) == 2)
        before = heard.link._js._nc.stats["in_msgs"]  # type: ignore[union-attr] # it is connected
        await operator.js.publish("$KV.desired-state.d1.web", b"the last part of our id")
        await operator.js.publish(f"$KV.desired-state.sub.{KEY}", b"an id that ours ends")
        await operator.store(BUCKET, KEY, desired(2))
        await operator.delete(BUCKET, KEY)
        await heard.hears(WEB, NoValue.MARKER, TOLD)
        assert heard.link._js._nc.stats["in_msgs"] == before + 2  # type: ignore[union-attr] # as above
        assert await operator.consumers() == 0
    assert heard.brief == [
        (WEB, desired(1), READ),
        (DB, NoValue.MARKER, READ),
        (WEB, desired(2), TOLD),
        (WEB, NoValue.MARKER, TOLD),
    ]
    assert before <= 2 + 1, "two keys and the end of the page"


@pytest.mark.rule("A32")
async def test_a_missing_bucket_is_waited_for(heard: Listening, operator: Operator) -> None:
    """The agent came first: nothing is heard, and the first write is, once there is a bucket."""
    async with heard.listens():
        await ready(heard.link)
        assert await heard.inbox.confirm(WEB) is None
        await operator.make(BUCKET)
        await operator.store(BUCKET, KEY, desired(1))
        await heard.hears(WEB, desired(1), TOLD)
    assert {word for _, word, _ in heard.brief} == {desired(1)}


@pytest.mark.rule("A20")
async def test_what_was_stored_unheard_is_read_when_the_broker_is_back(heard: Listening, operator: Operator) -> None:
    """The server is killed and comes back with its storage: it is read again, also what nobody was told."""
    await operator.make()
    await operator.store(BUCKET, KEY, desired(1))
    async with heard.listens():
        await heard.hears(WEB, desired(1), READ)
        # The device is cut off while this is written.
        client = heard.link._js._nc  # type: ignore[union-attr] # it is connected
        for subscription in list(client._subs.values()):
            if subscription.subject.startswith("fleet.desired"):
                await client._send_unsubscribe(subscription._id)
        await operator.store(BUCKET, KEY, desired(2))
        await operator.restart()
        await heard.hears(WEB, desired(2), READ)
        await operator.store(BUCKET, KEY, desired(3))
        await heard.hears(WEB, desired(3), TOLD)
        assert await operator.consumers() == 0
    assert (WEB, desired(2), TOLD) not in heard.brief


@pytest.mark.rule("A16")
@pytest.mark.parametrize("how", ["wiped", "deleted", "purged", "purged key"])
async def test_a_loss_is_no_deletion(heard: Listening, operator: Operator, how: str) -> None:
    """Storage wiped, the bucket deleted, its content purged: nothing is told; what is written anew is."""
    await operator.make()
    await operator.store(BUCKET, KEY, desired(1))
    async with heard.listens():
        await heard.hears(WEB, desired(1), READ)
        if how == "wiped":
            await operator.restart(wiped=True)
        elif how == "deleted":
            await operator.drop(BUCKET)
        else:
            subject = f"$KV.desired-state.{KEY}" if how == "purged key" else None
            await operator.js.purge_stream("KV_desired-state", subject=subject)
        await ready(heard.link)
        heard.inbox._look.set()
        assert await heard.inbox.confirm(WEB) in {None, NoValue.ABSENT}
        await operator.make()
        await operator.store(BUCKET, desired_key(Pair(DEVICE, DB)), desired(1))
        await heard.hears(DB, desired(1), TOLD)
        heard.inbox._look.set()
        await heard.hears(DB, desired(1), READ)
        assert await heard.inbox.confirm(WEB) is NoValue.ABSENT
        await operator.store(BUCKET, KEY, desired(2))
        await heard.hears(WEB, desired(2), TOLD)
        assert await operator.consumers() == 0
    assert NoValue.MARKER not in {word for _, word, _ in heard.brief}
    assert {word for name, word, _ in heard.brief if name == WEB} == {desired(1), desired(2)}


@pytest.mark.rule("A15")
async def test_the_leader_confirms_what_is_stored(heard: Listening, operator: Operator) -> None:
    """A value, a marker, no trace; a purge marker deletes as well."""
    await operator.make()
    async with heard.listens():
        await ready(heard.link)
        assert await heard.inbox.confirm(WEB) is NoValue.ABSENT
        await operator.store(BUCKET, KEY, desired(1))
        assert await heard.inbox.confirm(WEB) == desired(1)
        await operator.delete(BUCKET, KEY)
        assert await heard.inbox.confirm(WEB) is NoValue.MARKER
        await operator.store(BUCKET, KEY, desired(2))
        headers = {"KV-Operation": "PURGE", "Nats-Rollup": "sub"}
        await operator.js.publish(f"$KV.desired-state.{KEY}", b"", headers=headers)
        assert await heard.inbox.confirm(WEB) is NoValue.MARKER
        await heard.until(lambda seen: [word.word for word in seen].count(NoValue.MARKER) >= 2)


@pytest.mark.rule("A15")
async def test_what_cannot_be_confirmed_is_read_again(
    heard: Listening, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody could tell: the read that follows gives the caller another occasion to ask."""
    monkeypatch.setattr(inbox_module, "_LOOK_AGAIN_S", 0.01)
    await operator.make()
    await operator.store(BUCKET, KEY, desired(1))
    async with heard.listens():
        await heard.hears(WEB, desired(1), READ)
        with monkeypatch.context() as patch:
            patch.setattr(heard.link._js, "_prefix", "nowhere")
            patch.setattr("fleet.bus.api.REQUEST_TIMEOUT_S", 0.05)
            assert await heard.inbox.confirm(WEB) is None
        await heard.until(lambda seen: len(seen) == 2)
    assert heard.brief == [(WEB, desired(1), READ)] * 2


async def test_asked_to_look_again_it_reads_once(
    heard: Listening, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for many words at a time, and again later."""
    monkeypatch.setattr(inbox_module, "_LOOK_AGAIN_S", 0.05)
    await operator.make()
    await operator.store(BUCKET, KEY, desired(1))
    async with heard.listens():
        await heard.hears(WEB, desired(1), READ)
        for _ in range(5):
            heard.inbox.look_again()
        await heard.until(lambda seen: len(seen) == 2)
        heard.inbox.look_again()
        await heard.until(lambda seen: len(seen) == 3)
    assert heard.brief == [(WEB, desired(1), READ)] * 3


async def test_what_was_told_since_a_read_began_is_newer(
    heard: Listening, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read whose answer comes late, with what was overwritten meanwhile, does not step back; the next one counts."""
    asked: Seen[None] = Seen()
    go = asyncio.Event()
    pages = direct.pages

    async def late(js: JetStreamContext, bucket: Bucket, key_filter: str) -> AsyncIterator[list[Entry]]:
        async for page in pages(js, bucket, key_filter):
            asked.saw(None)
            await go.wait()
            yield page

    monkeypatch.setattr(direct, "pages", late)
    await operator.make()
    await operator.store(BUCKET, KEY, desired(1))
    await operator.store(BUCKET, desired_key(Pair(DEVICE, DB)), desired(1))
    async with heard.listens():
        await asked.until(bool)
        await operator.store(BUCKET, KEY, desired(2))
        await heard.hears(WEB, desired(2), TOLD)
        go.set()
        await heard.hears(DB, desired(1), READ)
        heard.inbox._look.set()
        await heard.hears(WEB, desired(2), READ)
    assert heard.brief[:2] == [(WEB, desired(2), TOLD), (DB, desired(1), READ)]
    assert (WEB, desired(1), READ) not in heard.brief


async def test_a_busy_taker_hears_the_latest_of_each(heard: Listening, operator: Operator) -> None:
    """What waits is bounded by the deployments: a later word takes the place of an earlier one, at the end."""
    await operator.make()
    heard.open.clear()
    async with heard.listens():
        await ready(heard.link)
        await operator.store(BUCKET, KEY, desired(1))
        await heard.until(bool)
        for generation in range(2, 200):
            await operator.store(BUCKET, KEY, desired(generation))
            if generation == 100:
                await operator.store(BUCKET, desired_key(Pair(DEVICE, DB)), desired(1))
        await ready(heard.link)
        heard.open.set()
        await heard.hears(WEB, desired(199), TOLD)
    told = [item for item in heard.brief if item[2] is TOLD]
    assert told[-2:] == [(DB, desired(1), TOLD), (WEB, desired(199), TOLD)]
    assert len(told) <= 4


@pytest.mark.parametrize("bound", ["count", "bytes"])
async def test_words_that_found_no_room_are_read(
    heard: Listening, operator: Operator, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    """More deployments at once than may wait: the rest is noticed and read as soon as there is room."""
    monkeypatch.setattr(inbox_module, "_WAITING_MAX", 5 if bound == "count" else 1000)
    monkeypatch.setattr(inbox_module, "_WAITING_BYTES_MAX", 5 * len(desired(1)) if bound == "bytes" else 1 << 20)
    await operator.make()
    heard.open.clear()
    async with heard.listens():
        await ready(heard.link)
        await operator.store(BUCKET, KEY, desired(1))
        await heard.until(bool)
        names = [DeploymentName(f"app{number}") for number in range(20)]
        for name in names:
            await operator.store(BUCKET, desired_key(Pair(DEVICE, name)), desired(1))
        await ready(heard.link)
        assert len(heard.inbox._waiting) <= 5
        monkeypatch.undo()
        heard.open.set()
        await heard.until(lambda seen: {item.deployment for item in seen} == {WEB, *names})
        assert heard.inbox._waiting_bytes == 0
    assert {item.how for item in heard} == {TOLD, READ}


@pytest.mark.rule("A20")
async def test_the_bucket_is_read_now_and_then(
    heard: Listening, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while all seems well: what was stored and never told is found in the end."""
    monkeypatch.setattr(inbox_module, "_READ_EVERY_S", 0.05)
    await operator.make()
    stream = (await operator.js.stream_info("KV_desired-state")).config
    stream.republish = None
    async with heard.listens():
        await ready(heard.link)
        await operator.js.update_stream(stream)
        await operator.store(BUCKET, KEY, desired(1))
        await heard.hears(WEB, desired(1), READ)
    assert {item.how for item in heard} == {READ}


async def test_keys_that_do_not_parse_are_left(
    heard: Listening, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Said once, however often they come; the others are heard."""
    said: list[str] = []
    monkeypatch.setattr(heard.inbox._log, "warning", lambda event, **_: said.append(event))
    await operator.make()
    for _ in range(3):
        await operator.js.publish(f"$KV.desired-state.{DEVICE}.NO_NAME", b"x")
    async with heard.listens():
        await ready(heard.link)
        for _ in range(3):
            await operator.js.publish(f"$KV.desired-state.{DEVICE}.NO_NAME", b"x")
        await operator.store(BUCKET, KEY, desired(1))
        await heard.hears(WEB, desired(1), TOLD)
        heard.inbox._look.set()
        await heard.hears(WEB, desired(1), READ)
    assert said.count("desired_key_ignored") == 1, "however it was heard of"


async def test_any_bytes_are_handed_on(heard: Listening, operator: Operator) -> None:
    """Whether it can be understood is not for the inbox to judge; an empty value is no deletion."""
    await operator.make()
    async with heard.listens():
        await ready(heard.link)
        for value in (b"", b"\x00\xff", json.dumps([1] * 100_000).encode()):
            await operator.store(BUCKET, KEY, value)
            await heard.hears(WEB, value, TOLD)


async def test_a_crash_of_the_taker_is_a_crash(link: Link, operator: Operator) -> None:
    """An unexpected error ends the loop, and so the agent."""

    async def crash(_: Heard) -> None:
        raise ZeroDivisionError

    inbox = Inbox(link, DEVICE, crash)
    await operator.make()
    runs = asyncio.create_task(inbox.run())
    inbox._told(Msg(operator.client, subject=desired_subject(Pair(DEVICE, WEB)), data=b"x"))
    with pytest.raises(ExceptionGroup) as crashed:
        await within(runs)
    assert crashed.group_contains(ZeroDivisionError)
