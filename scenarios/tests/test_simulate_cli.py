"""`fleetproof simulate` as people call it: what it refuses, how it ends, and what it says then."""

import json
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from harness.devices.tests.broker import Broker, pair_of, running_broker
from harness.env import Foundation
from scenarios.tests.commands import FLEETPROOF, Command, Footprint, run

SIMULATE = (*FLEETPROOF, "simulate")


@pytest.fixture
async def broker(foundation: Foundation, tmp_path: Path) -> AsyncIterator[Broker]:
    async with running_broker(foundation, tmp_path) as broker:
        yield broker


async def test_it_ends_after_its_seconds_with_a_summary(broker: Broker, footprint: Footprint) -> None:
    """Progress on stderr each second, one JSON object on stdout, code 0."""
    await broker.make()
    for number in range(300):
        await broker.desire(pair_of(f"sim-{number:05d}"))
    argv = [*_against(broker), "--devices", "300", "--state-changes-per-s", "50", "--seconds", "4", "--json"]
    ended = await run([*argv, "--labels", "group=g{i%4}"], footprint)
    assert ended.code == 0, ended.text
    summary = json.loads("\n".join(ended.out))
    assert (summary["devices"], summary["joined_ever"], summary["unsettled"]) == (300, 300, 0)
    assert (summary["conflicts"], summary["refused"], summary["unanswered"]) == (0, 0, 0)
    # Two for each deployment, Pending and Running, and then the changes.
    assert summary["reports"] > 600
    assert 0 < summary["ack_p50_ms"] <= summary["ack_p99_ms"] <= summary["ack_max_ms"]
    assert sum("connected 2/2  joined 300/300" in line for line in ended.err) >= 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_one_says_what_was(number: signal.Signals, broker: Broker, footprint: Footprint) -> None:
    """Ctrl-C and SIGTERM end it cleanly: the summary comes, nothing is left, and the code says who ended it."""
    await broker.make()
    command = await Command.start([*_against(broker), "--devices", "20", "--json"], footprint)
    await command.wait_line("joined 20/20")
    command.interrupt(number)
    ended = await command.end()
    assert ended.code == 130, ended.text
    assert json.loads("\n".join(ended.out))["joined_ever"] == 20
    assert not footprint.left()


async def test_without_buckets_nothing_is_decided(broker: Broker, footprint: Footprint) -> None:
    """Nobody joined: code 3, and the progress says what is waited for."""
    ended = await run([*_against(broker), "--devices", "5", "--seconds", "2"], footprint)
    assert ended.code == 3, ended.text
    assert "waiting for the operator's buckets" in ended.text
    assert any("joined ever" in line for line in ended.out)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--nats", "nats://broker.example:4222"], "add --yes-this-broker broker.example"),
        (["--nats", "nats://127.0.0.1:4222", "--yes-this-broker", "other"], "names 'other'"),
        (["--nats", "127.0.0.1:4222"], "expected nats://HOST:PORT"),
        (["--nats", "nats://127.0.0.1:1"], "no broker answers at nats://127.0.0.1:1"),
        (["--nats", "nats://127.0.0.1:4222", "--labels", "group"], "expected key=value"),
        (["--nats", "nats://127.0.0.1:4222", "--devices", "0"], "--devices"),
    ],
    ids=["far-away", "another-host", "no-address", "nobody-there", "no-label", "no-devices"],
)
async def test_bad_input_is_one_line(argv: Sequence[str], words: str, footprint: Footprint) -> None:
    """Refused with code 2, before anything is loaded."""
    ended = await run([*SIMULATE, *argv, "--seconds", "1"], footprint)
    assert (ended.code, ended.out, len(ended.err)) == (2, [], 1), ended.text
    assert words in ended.err[0]


async def test_help_has_an_example(footprint: Footprint) -> None:
    """A line to copy."""
    ended = await run([*SIMULATE, "--help"], footprint)
    assert ended.code == 0
    assert "fleetproof simulate --nats nats://127.0.0.1:4222 --devices 5000" in ended.text


def _against(broker: Broker) -> list[str]:
    return [*SIMULATE, "--nats", broker.server.url]
