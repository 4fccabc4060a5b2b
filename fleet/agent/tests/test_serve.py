"""Each request is answered, in bounded time and number, whatever becomes of it; none of them ends the agent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from nats.errors import NoRespondersError

from fleet.agent import serve
from fleet.agent.link import Link
from fleet.agent.model import Reason
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble
from fleet.agent.serve import Commands, CommandTrouble, Handler
from fleet.agent.tests.brokers import DEVICE, Operator, Seen, ready, running, within
from fleet.bus.tests.servers import DEADLINE_S
from fleet.commands import (
    REQUEST_BYTES_MAX,
    CommandReason,
    PingReply,
    Verb,
    command_subject,
    decode_error_reply,
    decode_exec_request,
    decode_ping_reply,
    decode_ping_request,
)
from fleet.errors import ArtifactError

PONG = PingReply("1.2.3", "i1", 7, busy=False)
PING = command_subject(DEVICE, Verb.PING)
EXEC = command_subject(DEVICE, Verb.EXEC)


class Serving:
    """An agent that answers pings, and whose exec waits for `go` and then does what the test says."""

    def __init__(self, link: Link, operator: Operator) -> None:
        self.began: Seen[bytes] = Seen()
        self.cancelled: Seen[bytes] = Seen()
        self.go = asyncio.Event()
        self.trouble: Exception | None = None
        self.link = link
        self._client = operator.client

    @asynccontextmanager
    async def serves(self, deadline_s: float = DEADLINE_S) -> AsyncIterator[Commands]:
        handlers = {Verb.PING: Handler(self._ping, 1.0), Verb.EXEC: Handler(self._exec, deadline_s)}
        commands = Commands(self.link, DEVICE, handlers)
        async with running(self.link.run(), commands.run()):
            await ready(self.link)
            yield commands

    async def ask(self, subject: str, request: bytes = b"{}") -> bytes:
        return (await self._client.request(subject, request, timeout=DEADLINE_S)).data

    async def refusal(self, subject: str, request: bytes = b"{}") -> str:
        error = decode_error_reply(await self.ask(subject, request)).error
        assert error.message
        return error.reason

    async def _ping(self, request: bytes) -> bytes:
        decode_ping_request(request)
        return PONG.encode()

    async def _exec(self, request: bytes) -> bytes:
        self.began.saw(request)
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled.saw(request)
            raise
        if self.trouble is not None:
            raise self.trouble
        decode_exec_request(request)
        return b"{}"


@pytest.fixture
def agent(link: Link, operator: Operator) -> Serving:
    return Serving(link, operator)


async def test_a_command_is_answered(agent: Serving) -> None:
    """By the handler of its verb, also after a crash of another."""
    async with agent.serves():
        assert decode_ping_reply(await agent.ask(PING)) == PONG


async def test_another_device_is_not_answered_for(agent: Serving) -> None:
    """Nobody answers, and the asker learns that at once."""
    async with agent.serves():
        for subject in ("device-cmd.d1.ping", f"device-cmd.sub.{DEVICE}.ping", f"device-cmd.{DEVICE}.ping.more"):
            with pytest.raises(NoRespondersError):
                await agent.ask(subject)


@pytest.mark.parametrize(
    ("subject", "request_bytes", "reason"),
    [
        (f"device-cmd.{DEVICE}.reboot", b"{}", CommandReason.UNKNOWN_VERB),
        (command_subject(DEVICE, Verb.LOGS), b"{}", CommandReason.UNKNOWN_VERB),
        (f"device-cmd.{DEVICE}.NO_VERB", b"{}", CommandReason.BAD_REQUEST),
        (PING, b"", CommandReason.BAD_REQUEST),
        (PING, b"{", CommandReason.BAD_REQUEST),
        (PING, b'{"unknown": 1}', CommandReason.BAD_REQUEST),
        (PING, b" " * (REQUEST_BYTES_MAX + 1), CommandReason.BAD_REQUEST),
    ],
)
async def test_what_is_no_request_is_refused(
    agent: Serving, subject: str, request_bytes: bytes, reason: CommandReason
) -> None:
    """Unknown, malformed, too large: a reply says so, and the next request is answered."""
    async with agent.serves():
        assert await agent.refusal(subject, request_bytes) == reason
        assert decode_ping_reply(await agent.ask(PING)) == PONG


async def test_a_request_that_is_too_large_reaches_no_handler(agent: Serving) -> None:
    """The bound is the server's, not each handler's."""
    async with agent.serves():
        assert await agent.refusal(EXEC, b"x" * (REQUEST_BYTES_MAX + 1)) == CommandReason.BAD_REQUEST
    assert not agent.began


@pytest.mark.rule("A31")
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (CommandTrouble(CommandReason.NOT_FOUND, "no such service"), CommandReason.NOT_FOUND),
        (RuntimeAway("no socket"), CommandReason.RUNTIME_AWAY),
        (RuntimeTrouble(Reason.START_FAILED, "no"), CommandReason.RUNTIME_FAILED),
        (TimeoutError(), CommandReason.TIMED_OUT),
        (ArtifactError("odd"), CommandReason.RUNTIME_FAILED),
        (ZeroDivisionError(), CommandReason.RUNTIME_FAILED),
    ],
)
async def test_trouble_is_a_reply(agent: Serving, trouble: Exception, reason: CommandReason) -> None:
    """Each kind has its reason; a bug of a handler is said and does not end the agent."""
    agent.trouble = trouble
    agent.go.set()
    async with agent.serves():
        assert await agent.refusal(EXEC) == reason
        assert decode_ping_reply(await agent.ask(PING)) == PONG


@pytest.mark.rule("A31")
async def test_four_at_once_and_no_more(agent: Serving) -> None:
    """The fifth is told at once; when one is done there is room again."""
    async with agent.serves() as commands:
        asked = [asyncio.create_task(agent.ask(EXEC)) for _ in range(4)]
        await agent.began.until(lambda seen: len(seen) == 4)
        assert await agent.refusal(EXEC) == CommandReason.BUSY
        assert await agent.refusal(PING) == CommandReason.BUSY
        agent.go.set()
        await within(asyncio.gather(*asked))
        assert decode_ping_reply(await agent.ask(PING)) == PONG
        assert len(agent.began) == 4
        assert commands._busy == 0


async def test_a_flood_is_bounded(agent: Serving, operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More requests than even refusals are written for: they are dropped, and the rest is served."""
    held = asyncio.Event()
    publish = agent.link.publish

    async def slow(subject: str, data: bytes) -> None:
        await held.wait()
        await publish(subject, data)

    monkeypatch.setattr(agent.link, "publish", slow)
    async with agent.serves() as commands:
        for _ in range(1000):
            await operator.client.publish(PING, b"{}", reply="nobody.listens")
        await operator.js.account_info()
        await ready(agent.link)
        assert commands._under_way == serve._AT_ONCE_MAX + serve._REFUSALS_AT_ONCE_MAX
        held.set()
        while commands._under_way:
            await operator.js.account_info()
        assert decode_ping_reply(await agent.ask(PING)) == PONG


@pytest.mark.rule("A31")
async def test_a_deadline_ends_what_takes_too_long(agent: Serving) -> None:
    """The handler is cancelled, and the asker told."""
    async with agent.serves(deadline_s=0.05):
        assert await agent.refusal(EXEC) == CommandReason.TIMED_OUT
        await agent.cancelled.until(bool)


async def test_the_end_cancels_what_is_under_way(agent: Serving, operator: Operator) -> None:
    """Nothing is left running; what wants no answer is not done at all."""
    async with agent.serves():
        await operator.client.publish(EXEC, b"without a reply")
        await operator.client.publish(EXEC, b"{}", reply="nobody.listens")
        await agent.began.until(bool)
    assert agent.began == agent.cancelled == [b"{}"]


async def test_a_reply_that_cannot_be_sent_is_dropped(agent: Serving, operator: Operator) -> None:
    """The connection is lost while a command is under way; the next one is answered."""
    async with agent.serves() as commands:
        await operator.client.publish(EXEC, b"{}", reply="nobody.listens")
        await agent.began.until(bool)
        agent.link._lost()
        agent.go.set()
        while commands._under_way:
            await operator.js.account_info()
        agent.link._back()
        assert decode_ping_reply(await agent.ask(PING)) == PONG
