"""`fleetproof bench` as people call it: ended in the middle, it leaves nothing."""

import signal

import pytest

from scenarios.tests.commands import FLEETPROOF, Command, Footprint, run

COLD_START = [*FLEETPROOF, "bench", "cold-start", "--devices", "2000", "--deployments", "4"]
FILLING = "the buckets"
DEATHS_WITHIN_S = 20.0


@pytest.mark.parametrize("command", ["cold-start", "state-change"])
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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
async def test_an_interrupted_benchmark_leaves_nothing(number: signal.Signals, code: int, footprint: Footprint) -> None:
    """Ctrl-C and SIGKILL while the world is filled: servers, operator, ports and folders are gone."""
    command = await Command.start(COLD_START, footprint)
    await command.wait_line(FILLING)
    command.interrupt(number)
    assert (await command.end()).code == code
    await footprint.wait_nothing_left(DEATHS_WITHIN_S)
