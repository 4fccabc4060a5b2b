"""What a device is asked and what it answers, as properties."""

import dataclasses
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import commands, rules, wire
from fleet.canonical import INT_MAX, Json, dumps, loads
from fleet.commands import (
    CommandReason,
    ErrorReply,
    ExecReply,
    ExecRequest,
    LogsReply,
    LogsRequest,
    PingReply,
    PingRequest,
    Verb,
)
from fleet.errors import WireError
from fleet.tests import strategies as some
from fleet.tests.test_wire import refusal

Message = PingRequest | LogsRequest | ExecRequest | PingReply | LogsReply | ExecReply | ErrorReply
REQUESTS: dict[type[Message], Callable[[bytes], Message]] = {
    PingRequest: commands.decode_ping_request,
    LogsRequest: commands.decode_logs_request,
    ExecRequest: commands.decode_exec_request,
}
REPLIES: dict[type[Message], Callable[[bytes], Message]] = {
    PingReply: commands.decode_ping_reply,
    LogsReply: commands.decode_logs_reply,
    ExecReply: commands.decode_exec_reply,
}
DECODERS = {**REQUESTS, **REPLIES, ErrorReply: commands.decode_error_reply}

output = st.binary(max_size=50) | some.free_text.map(str.encode)
arguments = st.lists(some.free_text, min_size=1, max_size=4).map(tuple)
requests: st.SearchStrategy[Message] = st.one_of(
    st.just(PingRequest()),
    st.builds(LogsRequest, some.deployment_names, some.labels_dns, st.integers(1, rules.LOG_LINES_MAX)),
    st.builds(ExecRequest, some.deployment_names, some.labels_dns, arguments, st.integers(1, rules.EXEC_TIMEOUT_S_MAX)),
)
errors = st.builds(ErrorReply.of, st.sampled_from(CommandReason), some.free_text)
replies: st.SearchStrategy[Message] = st.one_of(
    st.builds(PingReply, some.versions, some.tokens, st.integers(0, INT_MAX), st.booleans()),
    st.builds(LogsReply.of, output),
    st.builds(ExecReply.of, st.integers(0, rules.EXIT_CODE_MAX), output, truncated=st.booleans()),
)
messages = st.one_of(requests, replies, errors)
UNKNOWN = st.tuples(st.text("xyz", min_size=1, max_size=3), some.json_values.filter(lambda value: value is not None))
WEB = wire.deployment_name("web")


@given(messages)
def test_messages_round_trip(message: Message) -> None:
    """Every message is read back equal, and its bytes are canonical."""
    data = message.encode()
    assert DECODERS[type(message)](data) == message
    assert dumps(loads(data, size_bytes_max=len(data))) == data


@given(st.sampled_from(list(DECODERS.values())), st.binary(max_size=300) | some.json_values.map(dumps))
def test_any_bytes_give_a_message_or_a_wire_error(decode: Callable[[bytes], Message], data: bytes) -> None:
    """Bytes of a stranger never raise anything but WireError, with one line that says why."""
    assert "\n" not in refusal(decode, data)


@given(requests, UNKNOWN)
def test_a_request_refuses_what_it_does_not_know(request: Message, unknown: tuple[str, Json]) -> None:
    """A request is executed: a device that passed over a field would do something else than was asked."""
    name, extra = unknown
    with pytest.raises(WireError, match=f"'{name}': unknown field"):
        DECODERS[type(request)](dumps({**json.loads(request.encode()), name: extra}))


@given(st.one_of(replies, errors), UNKNOWN)
def test_a_reply_may_say_more(reply: Message, unknown: tuple[str, Json]) -> None:
    """A newer agent's reply is understood as far as it is known."""
    name, extra = unknown
    assert DECODERS[type(reply)](dumps({**json.loads(reply.encode()), name: extra})) == reply


@given(errors, st.sampled_from(list(REPLIES.values())))
def test_an_error_in_the_place_of_a_reply(error: ErrorReply, decode: Callable[[bytes], Message]) -> None:
    """Whatever was asked, an error is understood as one."""
    assert decode(error.encode()) == error


def test_a_reason_of_a_newer_agent() -> None:
    """A reason that we do not know is kept as it is."""
    reply = commands.decode_exec_reply(b'{"error":{"message":"not now","reason":"Quarantined"}}')
    assert isinstance(reply, ErrorReply)
    assert reply.error.reason == "Quarantined"


@given(some.device_ids, st.sampled_from(Verb), some.device_ids)
def test_subjects(device: wire.DeviceId, verb: Verb, other: wire.DeviceId) -> None:
    """A subject is read back, dots in the device id included, and matches the filter of its own device alone."""
    subject = commands.command_subject(device, verb)
    assert commands.parse_command_subject(subject) == (device, verb)
    wanted, tokens = commands.command_filter(other).split("."), subject.split(".")
    matches = len(wanted) == len(tokens) and all(w in ("*", t) for w, t in zip(wanted, tokens, strict=True))
    assert matches == (other == device)


def test_an_unknown_verb_is_read() -> None:
    """The agent has to know what it was asked to say that it cannot."""
    assert commands.parse_command_subject("device-cmd.a.b.upgrade-stop") == ("a.b", "upgrade-stop")


@pytest.mark.parametrize("subject", ["", "device-cmd", "device-cmd.a", "device-cmd.a.", "device-cmd..ping", "x.a.ping"])
def test_malformed_subjects(subject: str) -> None:
    """A subject needs its prefix, a device id and a verb."""
    with pytest.raises(WireError):
        commands.parse_command_subject(subject)


OUTPUTS = {
    "short": b"done\n",
    "nothing": b"",
    "plain": b"x" * 400_000,
    "lines": b"a\n" * 200_000,
    "escapes": b"\x00\x1b" * 200_000,
    "wide": "\N{BICYCLE}".encode() * 100_000,
    "no-utf-8": b"\xff\xfe" * 200_000,
}


@pytest.mark.parametrize("data", OUTPUTS.values(), ids=OUTPUTS)
def test_output_is_cut_to_what_a_reply_carries(data: bytes) -> None:
    """Whatever a container wrote makes a reply within its bound: of logs the end, of a command the beginning."""
    readable = data.decode(errors="replace")
    logs, ran = LogsReply.of(data), ExecReply.of(0, data, truncated=False)
    assert len(logs.encode()) <= commands.LOGS_REPLY_BYTES_MAX
    assert len(ran.encode()) <= commands.EXEC_REPLY_BYTES_MAX
    assert readable.endswith(logs.text)
    assert readable.startswith(ran.output)
    assert ran.truncated == (ran.output != readable)
    if len(data) > 10:
        assert len(logs.encode()) > commands.LOGS_REPLY_BYTES_MAX - 100
        assert len(ran.encode()) > commands.EXEC_REPLY_BYTES_MAX - 100


def test_any_exit_code_makes_a_reply() -> None:
    """A runtime's odd exit code is carried as a failure."""
    assert [ExecReply.of(code, b"", truncated=False).exit_code for code in (-1, 0, 137, 256)] == [255, 0, 137, 255]


def test_what_the_runtime_cut_is_truncated() -> None:
    """A short output that the runtime had cut before says so."""
    assert ExecReply.of(0, b"x", truncated=True).truncated


def test_any_message_makes_an_error() -> None:
    """An error can be said whatever its words are, within the bound of every reply."""
    for message in ("", "\x00" * 5000, "\N{BICYCLE}" * 5000, "\ud800", "two\nlines"):
        data = ErrorReply.of(CommandReason.RUNTIME_FAILED, message).encode()
        assert len(data) <= commands.ERROR_REPLY_BYTES_MAX


INVALID: dict[str, Message] = {
    "no-lines": LogsRequest(WEB, "web", 0),
    "too-many-lines": LogsRequest(WEB, "web", rules.LOG_LINES_MAX + 1),
    "service-upper-case": LogsRequest(WEB, "Web"),
    "no-command": ExecRequest(WEB, "web", ()),
    "65-arguments": ExecRequest(WEB, "web", ("a",) * 65),
    "argument-with-nul": ExecRequest(WEB, "web", ("a\x00b",)),
    "command-too-large": ExecRequest(WEB, "web", ("\N{BICYCLE}" * 4096,) * 5),
    "no-time": ExecRequest(WEB, "web", ("true",), 0),
    "too-much-time": ExecRequest(WEB, "web", ("true",), rules.EXEC_TIMEOUT_S_MAX + 1),
    "exit-code-256": ExecReply(256, "", truncated=False),
    "log-too-long": LogsReply("x" * commands.LOGS_REPLY_BYTES_MAX),
    "output-too-long": ExecReply(0, "x" * commands.EXEC_REPLY_BYTES_MAX, truncated=False),
    "sequence-negative": PingReply("1", "i", -1, busy=False),
    "reason-with-space": dataclasses.replace(
        ErrorReply.of(CommandReason.BUSY, ""), error=commands.CommandError("not so", "")
    ),
}


@pytest.mark.parametrize("message", INVALID.values(), ids=INVALID)
def test_what_a_peer_would_refuse_is_not_encoded(message: Message) -> None:
    """A message that the contract refuses raises at the sender, not at the receiver."""
    with pytest.raises(WireError):
        message.encode()


BAD_REQUESTS: dict[str, tuple[type[Message], Json, str]] = {
    "ping-text": (PingRequest, "ping", "expected an object"),
    "logs-without-service": (LogsRequest, {"deployment": "web", "tail_lines": 1}, "service: missing"),
    "logs-lines-text": (LogsRequest, {"deployment": "a", "service": "a", "tail_lines": "9"}, "expected an integer"),
    "exec-shell": (
        ExecRequest,
        {"command": "ls -l", "deployment": "a", "service": "a", "timeout_s": 1},
        "command: expected a list, got text",
    ),
    "exec-nothing": (ExecRequest, {"deployment": "a", "service": "a", "timeout_s": 1}, "at least 1 items, got 0"),
}


@pytest.mark.parametrize(("kind", "value", "reason"), BAD_REQUESTS.values(), ids=BAD_REQUESTS)
def test_a_bad_request_says_why(kind: type[Message], value: Json, reason: str) -> None:
    """Each refusal names the field and what was expected."""
    with pytest.raises(WireError, match=reason):
        REQUESTS[kind](dumps(value))
