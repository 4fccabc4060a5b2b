"""Commands: a bounded number of requests at once, each with a deadline and an answer, whatever becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from nats.aio.msg import Msg

from fleet.agent.link import Link
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble
from fleet.commands import REQUEST_BYTES_MAX, CommandReason, ErrorReply, Verb, command_filter, parse_command_subject
from fleet.errors import FleetError, PeerError, WireError
from fleet.logs import get_logger
from fleet.wire import DeviceId

_AT_ONCE_MAX = 4
# An agent that is flooded answers what it can and stays as it is.
_REFUSALS_AT_ONCE_MAX = 64


class CommandTrouble(FleetError):  # noqa: N818 - names a state, as those of peers do
    """The command cannot be done; `reason` says it to machines, `str()` to people."""

    def __init__(self, reason: CommandReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Handler:
    """How one verb is done.

    `answer` takes a request's bytes and returns the reply's; it may raise WireError (a request that is none),
    CommandTrouble, RuntimeTrouble and TimeoutError. It is cancelled after `deadline_s`.
    """

    answer: Callable[[bytes], Awaitable[bytes]]
    deadline_s: float


class Commands:
    def __init__(self, link: Link, device: DeviceId, handlers: Mapping[Verb, Handler]) -> None:
        self._link = link
        self._handlers = {verb.value: handler for verb, handler in handlers.items()}
        self._busy = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._under_way = 0
        self._log = get_logger("commands")
        link.listen(command_filter(device), self._asked)

    async def run(self) -> None:
        """Until cancelled; then what is under way is cancelled, too. Requests that come before this are not heard."""
        async with asyncio.TaskGroup() as group:
            self._tasks = group
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self._tasks = None

    def _asked(self, message: Msg) -> None:
        if self._tasks is None or not message.reply or self._under_way >= _AT_ONCE_MAX + _REFUSALS_AT_ONCE_MAX:
            return
        self._under_way += 1
        task = self._tasks.create_task(self._serve(message))
        task.add_done_callback(self._done)

    def _done(self, _: asyncio.Task[None]) -> None:
        self._under_way -= 1

    async def _serve(self, message: Msg) -> None:
        reply = await self._answered(message)
        try:
            await self._link.publish(message.reply, reply)
        except PeerError as e:
            self._log.warning("reply_lost", subject=message.subject, reason=str(e))

    async def _answered(self, message: Msg) -> bytes:
        try:
            return await self._answer(message)
        except Exception as e:  # noqa: BLE001 - a bug in a command is no reason to leave the containers alone
            reason, words = _why(e)
            if reason is None:
                self._log.exception("command_crashed", subject=message.subject)
            return ErrorReply.of(reason or CommandReason.RUNTIME_FAILED, words).encode()

    async def _answer(self, message: Msg) -> bytes:
        _, verb = parse_command_subject(message.subject)
        handler = self._handlers.get(verb)
        if handler is None:
            raise CommandTrouble(CommandReason.UNKNOWN_VERB, f"this agent has no command {verb}")
        if len(message.data) > REQUEST_BYTES_MAX:
            raise WireError(f"at most {REQUEST_BYTES_MAX} bytes, got {len(message.data)}")
        if self._busy >= _AT_ONCE_MAX:
            raise CommandTrouble(CommandReason.BUSY, f"{_AT_ONCE_MAX} commands are under way: ask again")
        self._busy += 1
        try:
            async with asyncio.timeout(handler.deadline_s):
                return await handler.answer(message.data)
        finally:
            self._busy -= 1


def _why(error: Exception) -> tuple[CommandReason | None, str]:
    """The reason for machines and the words for people; no reason for what nobody expects."""
    match error:
        case WireError():
            return CommandReason.BAD_REQUEST, str(error)
        case CommandTrouble():
            return error.reason, str(error)
        case RuntimeAway():
            return CommandReason.RUNTIME_AWAY, str(error)
        case RuntimeTrouble():
            return CommandReason.RUNTIME_FAILED, str(error)
        case TimeoutError():
            return CommandReason.TIMED_OUT, "it was not done in time, and given up"
        case _:
            return None, f"the agent failed: {type(error).__name__}"
