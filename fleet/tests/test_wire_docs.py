"""The page that describes the contract is held to it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest

from fleet import commands, rules, wire
from fleet.agent.model import Reason
from fleet.tests import test_wire_corpus

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json(.*?)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


class Encodable(Protocol):
    def encode(self) -> bytes: ...


DECODERS: dict[str, Callable[[bytes], Encodable]] = {
    **test_wire_corpus.DECODERS,
    "ping request": commands.decode_ping_request,
    "ping reply": commands.decode_ping_reply,
    "logs request": commands.decode_logs_request,
    "logs reply": commands.decode_logs_reply,
    "exec request": commands.decode_exec_request,
    "exec reply": commands.decode_exec_reply,
    "error reply": commands.decode_error_reply,
}


@pytest.mark.parametrize(("payload", "text"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_examples_decode(payload: str, text: str) -> None:
    """Each JSON example of the page says which payload it is, and is one."""
    decode = DECODERS[payload.strip()]
    assert decode(decode(text.encode()).encode()) == decode(text.encode())


def test_each_payload_has_an_example() -> None:
    """No payload goes without an example."""
    assert {payload.strip() for payload, _ in EXAMPLES} == set(DECODERS)


def test_the_page_has_the_limits() -> None:
    """Signals, sizes and the limit on all text stand on the page as the code has them."""
    assert all(signal in PAGE for signal in rules.STOP_SIGNALS)
    assert str(rules.SCORE_CHARACTERS_MAX) in PAGE
    sizes = {
        wire.Bucket.DESIRED_STATE: wire.DESIRED_STATE_BYTES_MAX,
        wire.Bucket.DEVICE_INFO: wire.DEVICE_INFO_BYTES_MAX,
        wire.Bucket.DEVICE_STATE: wire.DEVICE_STATE_BYTES_MAX,
        wire.Bucket.DEVICE_HEARTBEAT: wire.HEARTBEAT_BYTES_MAX,
    }
    for bucket, size_bytes in sizes.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{bucket}`"))
        assert f"| {size_bytes // 1024} KiB |" in row


def test_the_page_has_the_limits_of_commands() -> None:
    """What each verb may be asked and answer stands on the page as the code has it."""
    heading = next(line for line in PAGE.splitlines() if line.startswith("| verb |"))
    assert f"at most {commands.REQUEST_BYTES_MAX // 1024} KiB" in heading
    replies = {
        commands.Verb.PING: commands.PING_REPLY_BYTES_MAX,
        commands.Verb.LOGS: commands.LOGS_REPLY_BYTES_MAX,
        commands.Verb.EXEC: commands.EXEC_REPLY_BYTES_MAX,
    }
    for verb, size_bytes in replies.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{verb}` |"))
        assert row.endswith(f"| {size_bytes // 1024} KiB |")
    assert f"an error, of at most {commands.ERROR_REPLY_BYTES_MAX // 1024} KiB" in PAGE
    assert f"(1 to {rules.LOG_LINES_MAX})" in PAGE
    assert f"(1 to {rules.EXEC_TIMEOUT_S_MAX})" in PAGE


def test_the_page_has_every_reason() -> None:
    """Reasons of commands and of reports stand in its tables, each in a row of its own kind, and no others do."""
    tables = re.findall(r"^\| reason \| says \|\n(?:\|.*\n)+", PAGE, flags=re.MULTILINE)
    listed = [
        {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        for table in tables
    ]
    assert listed == [set(commands.CommandReason), set(Reason)]


def test_the_page_has_the_limits_of_a_service() -> None:
    """Bounds of resources and health checks stand in their rows as the code has them."""
    resources = next(line for line in PAGE.splitlines() if line.startswith("| `resources`"))
    assert f"1 to {rules.CPU_MILLIS_MAX}:" in resources
    assert f"{rules.MEMORY_BYTES_MIN} (6 MiB) to 2^50" in resources
    health = next(line for line in PAGE.splitlines() if line.startswith("| `health_check`"))
    assert f"`interval_secs` 1 to {rules.HEALTH_INTERVAL_SECS_MAX};" in health
    assert f"`timeout_secs` 1 to {rules.HEALTH_TIMEOUT_SECS_MAX};" in health
    assert f"`retries` 1 to {rules.HEALTH_RETRIES_MAX}:" in health
