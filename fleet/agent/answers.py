"""How each command is done, on the containers as they were seen last."""

from collections.abc import Callable, Mapping

from fleet.agent.model import Container, ContainerState, Slot
from fleet.agent.runtime.protocol import ContainerRuntime
from fleet.agent.serve import CommandTrouble, Handler
from fleet.commands import (
    EXEC_REPLY_BYTES_MAX,
    LOGS_REPLY_BYTES_MAX,
    CommandReason,
    ExecReply,
    LogsReply,
    PingReply,
    Verb,
    decode_exec_request,
    decode_logs_request,
    decode_ping_request,
)
from fleet.rules import EXEC_TIMEOUT_S_MAX

_QUICK_S = 10.0
# The runtime kills the command first, and says that the time was up.
_EXEC_MARGIN_S = 10.0


class Answers:
    """`find` gives the container that a person means by a service."""

    def __init__(
        self, runtime: ContainerRuntime, find: Callable[[Slot], Container | None], ping: Callable[[], PingReply]
    ) -> None:
        self._runtime = runtime
        self._find = find
        self._ping = ping

    def handlers(self) -> Mapping[Verb, Handler]:
        return {
            Verb.PING: Handler(self._pong, _QUICK_S),
            Verb.LOGS: Handler(self._logs, _QUICK_S),
            Verb.EXEC: Handler(self._exec, EXEC_TIMEOUT_S_MAX + _EXEC_MARGIN_S),
        }

    async def _pong(self, data: bytes) -> bytes:
        decode_ping_request(data)
        return self._ping().encode()

    async def _logs(self, data: bytes) -> bytes:
        request = decode_logs_request(data)
        container = self._container(Slot(request.deployment, request.service))
        output = await self._runtime.logs(container.id, tail_lines=request.tail_lines, bytes_max=LOGS_REPLY_BYTES_MAX)
        return LogsReply.of(output).encode()

    async def _exec(self, data: bytes) -> bytes:
        request = decode_exec_request(data)
        slot = Slot(request.deployment, request.service)
        container = self._container(slot)
        if container.state is not ContainerState.RUNNING:
            raise CommandTrouble(CommandReason.NOT_RUNNING, f"{slot.service} of {slot.deployment} does not run now")
        done = await self._runtime.execute(
            container.id, request.command, timeout_s=request.timeout_s, bytes_max=EXEC_REPLY_BYTES_MAX
        )
        return ExecReply.of(done.exit_code, done.output, truncated=done.truncated).encode()

    def _container(self, slot: Slot) -> Container:
        container = self._find(slot)
        if container is None:
            raise CommandTrouble(
                CommandReason.NOT_FOUND, f"this device has no container of {slot.service} of {slot.deployment}"
            )
        return container
