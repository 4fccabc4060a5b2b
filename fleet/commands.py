"""The command contract in code: what a device is asked by request and reply, and what it answers. Pure.

A command goes to `device-cmd.<device>.<verb>`, JSON both ways, encoded as the payloads of `fleet.wire` are. A request
is executed, so an unknown field in it is refused; in replies it is ignored. A reply is what was asked for, or an
`ErrorReply`; nobody answers for a device that is away.
"""

from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum

from fleet import rules
from fleet.canonical import INT_MAX, dumps, loads
from fleet.fields import Fields, encode
from fleet.wire_keys import DeploymentName, DeviceId, after, deployment_name, device_id

COMMAND_SUBJECT_PREFIX = "device-cmd"

REQUEST_BYTES_MAX = 64 * 1024
PING_REPLY_BYTES_MAX = 8 * 1024
LOGS_REPLY_BYTES_MAX = 256 * 1024
EXEC_REPLY_BYTES_MAX = 64 * 1024
ERROR_REPLY_BYTES_MAX = PING_REPLY_BYTES_MAX
"""No more than any other reply, because it may come in the place of each."""

_FRAME_BYTES = 64
"""Room for a reply's JSON around its one long text."""


class Verb(StrEnum):
    PING = "ping"
    LOGS = "logs"
    EXEC = "exec"


def command_subject(device: DeviceId, verb: Verb) -> str:
    return f"{COMMAND_SUBJECT_PREFIX}.{device}.{verb}"


def command_filter(device: DeviceId) -> str:
    """Return the subject that matches each command to this device, and to no device whose id extends its id."""
    return f"{COMMAND_SUBJECT_PREFIX}.{device}.*"


def parse_command_subject(subject: str) -> tuple[DeviceId, str]:
    """Return device and verb, which may be none of `Verb`: a newer asker is answered, too."""
    device, _, verb = after(f"{COMMAND_SUBJECT_PREFIX}.", subject).rpartition(".")
    return device_id(device), rules.LABEL.check(verb, "verb")


@dataclass(frozen=True, slots=True)
class PingRequest:
    """Asks for a sign of life from the agent that serves the device now."""

    def encode(self) -> bytes:
        return encode(self, decode_ping_request)


@dataclass(frozen=True, slots=True)
class PingReply:
    """As in the agent's heartbeats; `sequence` is that of its last one."""

    agent_version: str
    instance_id: str
    sequence: int
    busy: bool

    def encode(self) -> bytes:
        return encode(self, decode_ping_reply)


@dataclass(frozen=True, slots=True)
class LogsRequest:
    """Asks for the last lines that a service's container wrote to both of its streams."""

    deployment: DeploymentName
    service: str
    tail_lines: int = 100

    def encode(self) -> bytes:
        return encode(self, decode_logs_request)


@dataclass(frozen=True, slots=True)
class LogsReply:
    text: str

    @classmethod
    def of(cls, output: bytes) -> "LogsReply":
        """Return as much of the output's end as a reply carries; what is no UTF-8 is replaced."""
        bytes_max = LOGS_REPLY_BYTES_MAX - _FRAME_BYTES
        backwards = output[-bytes_max:].decode(errors="replace")[::-1]
        return cls(backwards[: _fitting(backwards, bytes_max)][::-1])

    def encode(self) -> bytes:
        return encode(self, decode_logs_reply)


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """Asks to run a command inside a service's container, without a shell and without input."""

    deployment: DeploymentName
    service: str
    command: tuple[str, ...]
    timeout_s: int = 10

    def encode(self) -> bytes:
        return encode(self, decode_exec_request)


@dataclass(frozen=True, slots=True)
class ExecReply:
    """`output` is what the command wrote to both of its streams; `truncated` if it wrote more."""

    exit_code: int
    output: str
    truncated: bool

    @classmethod
    def of(cls, exit_code: int, output: bytes, *, truncated: bool) -> "ExecReply":
        """Return as much of the output's beginning as a reply carries; what is no UTF-8 is replaced.

        An exit code that no process can have, as runtimes tell when they lost it, becomes the last one: no success.
        """
        bytes_max = EXEC_REPLY_BYTES_MAX - _FRAME_BYTES
        text = output[:bytes_max].decode(errors="replace")
        count = _fitting(text, bytes_max)
        code = exit_code if 0 <= exit_code <= rules.EXIT_CODE_MAX else rules.EXIT_CODE_MAX
        return cls(code, text[:count], truncated or len(output) > bytes_max or count < len(text))

    def encode(self) -> bytes:
        return encode(self, decode_exec_reply)


class CommandReason(StrEnum):
    """Why there is no answer: stable for machines. A newer agent may know more of them."""

    BAD_REQUEST = "BadRequest"
    UNKNOWN_VERB = "UnknownVerb"
    BUSY = "Busy"
    NOT_FOUND = "NotFound"
    NOT_RUNNING = "NotRunning"
    TIMED_OUT = "TimedOut"
    RUNTIME_AWAY = "RuntimeAway"
    RUNTIME_FAILED = "RuntimeFailed"


@dataclass(frozen=True, slots=True)
class CommandError:
    """`reason` for machines, one of `CommandReason` or a newer one; `message` for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ErrorReply:
    error: CommandError

    @classmethod
    def of(cls, reason: CommandReason, message: str) -> "ErrorReply":
        """Return it with as much of the message's beginning as it carries."""
        readable = message.encode(errors="replace").decode()
        return cls(CommandError(reason, readable[: rules.MESSAGE.len_max]))

    def encode(self) -> bytes:
        return encode(self, decode_error_reply)


def decode_ping_request(data: bytes) -> PingRequest:
    """Decode, refusing unknown fields; WireError with the path of what is wrong. Likewise the other requests."""
    _request(data).done()
    return PingRequest()


def decode_logs_request(data: bytes) -> LogsRequest:
    root = _request(data)
    request = LogsRequest(
        deployment=deployment_name(root.text("deployment", rules.LABEL)),
        service=root.text("service", rules.LABEL),
        tail_lines=root.integer("tail_lines", 1, rules.LOG_LINES_MAX),
    )
    root.done()
    return request


def decode_exec_request(data: bytes) -> ExecRequest:
    root = _request(data)
    request = ExecRequest(
        deployment=deployment_name(root.text("deployment", rules.LABEL)),
        service=root.text("service", rules.LABEL),
        command=root.texts("command", rules.ARGUMENT, rules.COMMAND_MAX, count_min=1),
        timeout_s=root.integer("timeout_s", 1, rules.EXEC_TIMEOUT_S_MAX),
    )
    root.done()
    return request


def decode_ping_reply(data: bytes) -> PingReply | ErrorReply:
    root = Fields(loads(data, size_bytes_max=PING_REPLY_BYTES_MAX))
    return _error(root) or PingReply(
        agent_version=root.text("agent_version", rules.VERSION),
        instance_id=root.text("instance_id", rules.TOKEN),
        sequence=root.integer("sequence", 0, INT_MAX),
        busy=root.boolean("busy"),
    )


def decode_logs_reply(data: bytes) -> LogsReply | ErrorReply:
    root = Fields(loads(data, size_bytes_max=LOGS_REPLY_BYTES_MAX))
    return _error(root) or LogsReply(root.text("text", rules.OUTPUT))


def decode_exec_reply(data: bytes) -> ExecReply | ErrorReply:
    root = Fields(loads(data, size_bytes_max=EXEC_REPLY_BYTES_MAX))
    return _error(root) or ExecReply(
        exit_code=root.integer("exit_code", 0, rules.EXIT_CODE_MAX),
        output=root.text("output", rules.OUTPUT),
        truncated=root.boolean("truncated"),
    )


def decode_error_reply(data: bytes) -> ErrorReply:
    return _error_reply(Fields(loads(data, size_bytes_max=ERROR_REPLY_BYTES_MAX)).object("error"))


def _request(data: bytes) -> Fields:
    return Fields(loads(data, size_bytes_max=REQUEST_BYTES_MAX))


def _error(reply: Fields) -> ErrorReply | None:
    error = reply.optional_object("error")
    return None if error is None else _error_reply(error)


def _error_reply(error: Fields) -> ErrorReply:
    return ErrorReply(CommandError(error.text("reason", rules.REASON), error.text("message", rules.MESSAGE)))


def _fitting(text: str, bytes_max: int) -> int:
    """Return how many of the first characters take at most `bytes_max` bytes as JSON."""
    return bisect_right(range(len(text) + 1), bytes_max, key=lambda count: len(dumps(text[:count]))) - 1
