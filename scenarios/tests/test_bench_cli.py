"""`fleetproof bench` as people call it: ended in the middle, it leaves nothing."""

import signal
from collections.abc import Sequence

import pytest

from scenarios.tests.commands import FLEETPROOF, Command, Footprint, run

COLD_START = [*FLEETPROOF, "bench", "cold-start", "--devices", "2000", "--deployments", "4"]
FILLING = "the buckets"
AGENT = [*FLEETPROOF, "bench", "agent", "--rounds", "50"]
STARTING = "round 1 of 50"
DEATHS_WITHIN_S = 20.0
ENDS = [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)]


@pytest.mark.parametrize("command", ["cold-start", "state-change", "agent"])
async def test_help_has_an_example(command: str, footprint: Footprint) -> None:
    """Each benchmark's help shows at least one line to copy."""
    ended = await run([*FLEETPROOF, "bench", command, "--help"], footprint)
    assert ended.code == 0
    assert f"fleetproof bench {command}" in ended.text


async def test_sizes_the_wrong_way_round_are_bad_input(footprint: Footprint) -> None:
    """One line that says so, before any server is started."""
    ended = await run([*FLEETPROOF, "bench", "state-change", "--small", "10", "--large", "10"], footprint)
    assert (ended.code, ended.out) == (2, [])
    assert len(ended.err) == 1
    assert "--small must be less than --large" in ended.err[0]


@pytest.mark.parametrize(("number", "code"), ENDS)
async def test_an_interrupted_benchmark_leaves_nothing(number: signal.Signals, code: int, footprint: Footprint) -> None:
    """Ctrl-C and SIGKILL while the world is filled: servers, operator, ports and folders are gone."""
    await interrupted(COLD_START, FILLING, number, code, footprint)


@pytest.mark.needs("podman")
@pytest.mark.parametrize(("number", "code"), ENDS)
async def test_an_interrupted_agent_leaves_nothing(number: signal.Signals, code: int, footprint: Footprint) -> None:
    """Likewise between two containers: the machine goes, and all that ran on it."""
    await interrupted(AGENT, STARTING, number, code, footprint)


async def interrupted(argv: Sequence[str], line: str, number: signal.Signals, code: int, footprint: Footprint) -> None:
    command = await Command.start(argv, footprint)
    await command.wait_line(line)
    command.interrupt(number)
    assert (await command.end()).code == code
    await footprint.wait_nothing_left(DEATHS_WITHIN_S)
