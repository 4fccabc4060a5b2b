"""What a device answers to each command, on containers as they were seen last."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from fleet.agent.answers import Answers
from fleet.agent.model import Container, ContainerState, Slot
from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.serve import CommandTrouble
from fleet.agent.tests.edge import ONE, desired, device, one
from fleet.agent.tests.fake_podman import WEB
from fleet.agent.tests.fake_runtime import FakeRuntime
from fleet.commands import (
    EXEC_REPLY_BYTES_MAX,
    LOGS_REPLY_BYTES_MAX,
    CommandReason,
    ExecReply,
    ExecRequest,
    LogsReply,
    LogsRequest,
    PingReply,
    PingRequest,
    Verb,
    decode_exec_reply,
    decode_logs_reply,
    decode_ping_reply,
)
from fleet.errors import WireError

PONG = PingReply("1.2.3", "instance", 7, busy=False)
Ask = Callable[[Verb, bytes], Awaitable[bytes]]


class Asked:
    """Answers about one container that runs, or about what a test puts in its place."""

    def __init__(self, container: Container) -> None:
        self.runtime = FakeRuntime()
        self.container: Container | None = container
        self.asked_for: list[Slot] = []
        self._handlers = Answers(self.runtime, self._find, lambda: PONG).handlers()

    def _find(self, slot: Slot) -> Container | None:
        self.asked_for.append(slot)
        return self.container

    async def ask(self, verb: Verb, data: bytes) -> bytes:
        return await self._handlers[verb].answer(data)


@pytest.fixture
async def asked() -> Asked:
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        container = edge.workers.container(ONE)
    assert container is not None
    return Asked(container)


async def test_a_ping_tells_who_is_there(asked: Asked) -> None:
    """Whatever the containers do."""
    asked.container = None
    assert decode_ping_reply(await asked.ask(Verb.PING, PingRequest().encode())) == PONG


async def test_logs_are_the_last_lines(asked: Asked) -> None:
    """Of the service's container, also of one that has ended; as many lines as were asked for."""
    asked.runtime.output = b"one\ntwo\nthree\n"
    assert asked.container is not None
    asked.container = replace(asked.container, state=ContainerState.EXITED)
    data = await asked.ask(Verb.LOGS, LogsRequest(WEB, "one", tail_lines=2).encode())
    assert decode_logs_reply(data) == LogsReply("two\nthree\n")
    assert asked.runtime.calls == [f"logs {asked.container.id}"]
    assert asked.asked_for == [ONE]


async def test_logs_fit_a_reply(asked: Asked) -> None:
    """Of more than that, the end; bytes that are no text are replaced."""
    asked.runtime.output = b"\xff" * LOGS_REPLY_BYTES_MAX + b"end"
    data = await asked.ask(Verb.LOGS, LogsRequest(WEB, "one").encode())
    assert len(data) <= LOGS_REPLY_BYTES_MAX
    reply = decode_logs_reply(data)
    assert isinstance(reply, LogsReply)
    assert reply.text.endswith("\ufffdend")


async def test_exec_tells_code_and_output(asked: Asked) -> None:
    """A command that fails is an answer, no trouble; its time is what was asked for."""
    asked.runtime.healthy = False
    request = ExecRequest(WEB, "one", ("check", "it"), timeout_s=3)
    reply = decode_exec_reply(await asked.ask(Verb.EXEC, request.encode()))
    assert reply == ExecReply(7, "no answer\n", truncated=False)
    assert asked.runtime.checks == [(("check", "it"), 3)]


async def test_exec_fits_a_reply(asked: Asked) -> None:
    """Of more than that, the beginning, and that there was more is said."""
    asked.runtime.output = b"begin" + b"x" * EXEC_REPLY_BYTES_MAX
    data = await asked.ask(Verb.EXEC, ExecRequest(WEB, "one", ("dump",)).encode())
    assert len(data) <= EXEC_REPLY_BYTES_MAX
    reply = decode_exec_reply(data)
    assert isinstance(reply, ExecReply)
    assert (reply.output[:6], reply.truncated) == ("beginx", True)


async def test_exec_needs_one_that_runs(asked: Asked) -> None:
    """Nothing is started for it."""
    assert asked.container is not None
    asked.container = replace(asked.container, state=ContainerState.EXITED)
    with pytest.raises(CommandTrouble, match="one of web does not run now") as raised:
        await asked.ask(Verb.EXEC, ExecRequest(WEB, "one", ("true",)).encode())
    assert raised.value.reason is CommandReason.NOT_RUNNING
    assert asked.runtime.calls == []


@pytest.mark.parametrize("request_", [LogsRequest(WEB, "one"), ExecRequest(WEB, "one", ("true",))])
async def test_a_service_that_is_not_here(asked: Asked, request_: LogsRequest | ExecRequest) -> None:
    """Which one is said."""
    asked.container = None
    verb = Verb.LOGS if isinstance(request_, LogsRequest) else Verb.EXEC
    with pytest.raises(CommandTrouble, match="this device has no container of one of web") as raised:
        await asked.ask(verb, request_.encode())
    assert raised.value.reason is CommandReason.NOT_FOUND


@pytest.mark.parametrize("verb", list(Verb))
async def test_no_request_at_all(asked: Asked, verb: Verb) -> None:
    """Bytes that are none reach neither the containers nor the runtime."""
    with pytest.raises(WireError):
        await asked.ask(verb, b"\xff{")
    assert (asked.asked_for, asked.runtime.calls) == ([], [])


async def test_a_runtime_that_is_away(asked: Asked) -> None:
    """Its trouble is passed on as it is: who serves commands gives it a reason."""
    asked.runtime.refuses["logs"] = RuntimeAway("nobody is there")
    with pytest.raises(RuntimeAway):
        await asyncio.wait_for(asked.ask(Verb.LOGS, LogsRequest(WEB, "one").encode()), 5.0)
