"""Commands to a device, by request and reply through the broker, on containers that run: bounded, and answered."""

import asyncio
from dataclasses import dataclass

import pytest
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from fleet.commands import (
    COMMAND_SUBJECT_PREFIX,
    EXEC_REPLY_BYTES_MAX,
    LOGS_REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    ErrorReply,
    ExecReply,
    ExecRequest,
    LogsReply,
    LogsRequest,
    PingReply,
    PingRequest,
    Verb,
    command_subject,
    decode_error_reply,
    decode_exec_reply,
    decode_logs_reply,
    decode_ping_reply,
)
from fleet.wire import Service, decode_heartbeat, deployment_name, device_id, heartbeat_key
from harness.checks.containers import untouched
from harness.env import Environment
from harness.history import KvEntry
from harness.wait import wait_for
from scenarios.cases import require_pass
from scenarios.worlds.agent import APP, DEVICE, Fleet, payload, sound, start_running

pytestmark = pytest.mark.needs("podman")

ANSWER_WITHIN_S = 20.0
AT_ONCE_MAX = 4
LINE = "x" * 99
# Each writes more than a reply holds, and ends.
WORDY = f"i=0; while [ $i -lt 4000 ]; do echo $i {LINE}; i=$((i+1)); done"


@dataclass(frozen=True, slots=True)
class Desk:
    """Who asks."""

    fleet: Fleet

    async def ask(self, verb: str, data: bytes) -> bytes:
        client = self.fleet.env.witnesses.buckets.client
        return (await client.request(f"{COMMAND_SUBJECT_PREFIX}.{DEVICE}.{verb}", data, timeout=ANSWER_WITHIN_S)).data

    async def ping(self) -> PingReply | ErrorReply:
        return decode_ping_reply(await self.ask(Verb.PING, PingRequest().encode()))

    async def logs(self, tail_lines: int = 100, *, service: str = "main") -> LogsReply | ErrorReply:
        request = LogsRequest(deployment_name(APP), service, tail_lines)
        return decode_logs_reply(await self.ask(Verb.LOGS, request.encode()))

    async def execute(self, *command: str, timeout_s: int = 10, service: str = "main") -> ExecReply | ErrorReply:
        request = ExecRequest(deployment_name(APP), service, command, timeout_s)
        data = await self.ask(Verb.EXEC, request.encode())
        assert len(data) <= EXEC_REPLY_BYTES_MAX
        return decode_exec_reply(data)


async def start(env: Environment, *services: Service) -> Desk:
    desk = Desk(await start_running(env, services))
    await env.mark("asked")
    return desk


async def require_untouched(env: Environment) -> None:
    """Whatever was asked, no container came to harm, and no agent."""
    await env.mark("answered")
    require_pass(await env.judge(*sound(), untouched("asked", "answered")))


def reason(reply: object) -> str:
    assert isinstance(reply, ErrorReply), reply
    return reply.error.reason


async def test_ping(env: Environment) -> None:
    """Tells who serves the device: the version, instance and sequence of its heartbeats."""
    desk = await start(env)
    reply = await desk.ping()
    assert isinstance(reply, PingReply)
    await env.settle_witnesses()
    beats = [e for e in env.recorder.history().of(KvEntry) if e.key == heartbeat_key(device_id(DEVICE))]
    beat = decode_heartbeat(beats[-1].value.encode())
    assert (reply.agent_version, reply.instance_id) == (beat.agent_version, beat.instance_id)
    assert 0 < reply.sequence <= beat.sequence
    await require_untouched(env)


async def test_logs(env: Environment) -> None:
    """The last lines of both streams, as many as were asked for; of what is too long, the end."""
    image, stay = payload().image, "exec sleep 2147483647"
    wordy = Service("wordy", image, ("/bin/sh", "-c", f"{WORDY}; echo last; {stay}"))
    both = Service("both", image, ("/bin/sh", "-c", f"echo out; echo err >&2; {stay}"))
    desk = await start(env, payload(), wordy, both)
    assert await desk.logs() == LogsReply("payload v1: sleep\n")

    async def both_written() -> bool | None:
        reply = await desk.logs(service="both")
        # Two streams have no order between them.
        return True if isinstance(reply, LogsReply) and sorted(reply.text.split()) == ["err", "out"] else None

    await wait_for("both streams", both_written, deadline_s=ANSWER_WITHIN_S)

    async def all_written() -> LogsReply | None:
        reply = await desk.logs(1, service="wordy")
        return reply if reply == LogsReply("last\n") else None

    await wait_for("the last line", all_written, deadline_s=ANSWER_WITHIN_S)
    three = await desk.logs(3, service="wordy")
    assert isinstance(three, LogsReply)
    assert three.text.splitlines() == [f"3998 {LINE}", f"3999 {LINE}", "last"]
    much = await desk.logs(1000, service="wordy")
    assert isinstance(much, LogsReply)
    assert 1000 * len(LINE) < len(much.text) <= LOGS_REPLY_BYTES_MAX
    assert much.text.endswith("last\n")
    await require_untouched(env)


async def test_exec(env: Environment) -> None:
    """Runs in the container, without a shell; its exit code and both of its streams come back."""
    desk = await start(env)
    assert await desk.execute("/bin/sh", "-c", "echo out; echo err >&2; exit 3") == ExecReply(
        3, "out\nerr\n", truncated=False
    )
    argument = "a; echo $HOME"
    assert await desk.execute("/bin/sh", "-c", 'echo "$1"', "sh", argument) == ExecReply(
        0, f"{argument}\n", truncated=False
    )
    await require_untouched(env)


async def test_exec_has_bounds(env: Environment) -> None:
    """Of what is too long the beginning comes back; what takes too long is killed, and the container runs on."""
    desk = await start(env)
    much = await desk.execute("/bin/sh", "-c", WORDY)
    assert isinstance(much, ExecReply)
    assert much.truncated
    assert much.output.startswith(f"0 {LINE}\n1 {LINE}\n")
    assert reason(await desk.execute("/bin/sleep", "1234", timeout_s=1)) == "TimedOut"
    # Every process of the container, as the kernel has them.
    found = await desk.execute("/bin/sh", "-c", "cat /proc/[0-9]*/cmdline")
    assert isinstance(found, ExecReply)
    assert "1234" not in found.output
    await require_untouched(env)


@pytest.mark.rule("A31")
async def test_four_at_once(env: Environment) -> None:
    """The fifth is told Busy, at once; when the others are done there is room again."""
    desk = await start(env)
    async with asyncio.TaskGroup() as group:
        under_way = [group.create_task(desk.execute("/bin/sleep", "3")) for _ in range(AT_ONCE_MAX)]

        async def is_busy() -> bool | None:
            return True if isinstance(await desk.ping(), ErrorReply) else None

        await wait_for("the fifth to be refused", is_busy, deadline_s=ANSWER_WITHIN_S)
        assert reason(await desk.ping()) == "Busy"
        assert not any(task.done() for task in under_way)
    assert [task.result() for task in under_way] == [ExecReply(0, "", truncated=False)] * AT_ONCE_MAX
    assert isinstance(await desk.ping(), PingReply)
    await require_untouched(env)


async def test_what_is_no_request_is_told_so(env: Environment) -> None:
    """Each with its reason; nobody answers for an agent that is not there."""
    desk = await start(env)
    bad = {
        "a field too much": (Verb.PING, b'{"force":true}'),
        "no JSON": (Verb.EXEC, b"rm -rf"),
        "no command": (Verb.EXEC, b'{"command":[],"deployment":"web","service":"main","timeout_s":1}'),
        "too long a time": (Verb.EXEC, b'{"command":["/bin/sh"],"deployment":"web","service":"main","timeout_s":61}'),
        "too many lines": (Verb.LOGS, b'{"deployment":"web","service":"main","tail_lines":1001}'),
        "too many bytes": (Verb.PING, b" " * (REQUEST_BYTES_MAX + 1)),
    }
    answers = {what: decode_error_reply(await desk.ask(*question)) for what, question in bad.items()}
    assert {what: answer.error.reason for what, answer in answers.items()} == dict.fromkeys(bad, "BadRequest")
    assert decode_error_reply(await desk.ask("reboot", b"{}")).error.reason == "UnknownVerb"
    assert reason(await desk.logs(service="no-such")) == "NotFound"
    await require_untouched(env)
    await desk.fleet.device.host.stop_podman()
    assert reason(await desk.logs()) == "RuntimeAway"
    await desk.fleet.device.agent.kill()

    async def nobody() -> bool | None:
        # Until the broker has noticed the death, a question goes to nobody, and is never answered.
        try:
            await env.witnesses.buckets.client.request(subject, b"{}", timeout=1.0)
        except NatsTimeoutError:
            return None
        except NoRespondersError:
            return True
        return None

    subject = command_subject(device_id(DEVICE), Verb.PING)
    await wait_for("nobody to answer", nobody, deadline_s=ANSWER_WITHIN_S)


async def test_another_device_is_not_asked(env: Environment) -> None:
    """A device id may extend another one: what is sent to `edge-1.lab` is not heard by `edge-1`."""
    desk = await start(env)
    client = desk.fleet.env.witnesses.buckets.client
    with pytest.raises(NoRespondersError):
        await client.request(command_subject(device_id(f"{DEVICE}.lab"), Verb.PING), b"{}", timeout=ANSWER_WITHIN_S)
    await require_untouched(env)
