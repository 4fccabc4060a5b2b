"""The sweep's figures and its command line, without a world."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.checks.judge import Judgement, passed
from scenarios.cli import main
from scenarios.commands.ends import EXIT_BAD_INPUT
from scenarios.running.sweep import Swept
from scenarios.running.sweep_roll import Done
from scenarios.running.sweep_table import as_json, rows_of

WELL = Judgement((passed("a-check", "all is well"),))


def swept(**changes: object) -> Swept:
    steps = ("fsync a #1", "rename a #1", "fsync a #2")
    found = Swept(steps=steps, chosen=steps, worlds=[WELL], outcomes=dict.fromkeys(steps, "pass"))
    for name, value in changes.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "pass"),
        ({"outcomes": {"fsync a #1": "pass", "rename a #1": "pass"}}, "inconclusive"),
        ({"outcomes": {"fsync a #1": "fail"}}, "fail"),
        ({"troubles": ["no world"]}, "infra-error"),
        ({"chosen": (), "worlds": []}, "inconclusive"),
    ],
    ids=["all", "a step without an outcome", "a failure", "trouble", "nothing swept"],
)
def test_only_a_whole_sweep_passes(changes: dict[str, object], verdict: str) -> None:
    """Each chosen step has to pass, and each world."""
    assert swept(**changes).verdict == verdict


def test_coverage_is_told_by_call() -> None:
    """Steps of a clean roll, of these the chosen ones, of these the reached ones."""
    chosen = ("fsync a #1", "rename a #1")
    done = Done(swept(chosen=chosen, outcomes={"fsync a #1": "fail", "rename a #1": "inconclusive"}), 1.0, Path("r"))
    assert [(row.call, row.steps, len(row.outcomes), row.reached, row.verdict) for row in rows_of(done)] == [
        ("fsync", 2, 1, 1, "fail"),
        ("rename", 1, 1, 0, "inconclusive"),
    ]
    told = as_json(done)
    assert (told["steps"], told["swept"], told["reached"], told["verdict"]) == (3, 2, 1, "fail")


@pytest.mark.parametrize("part", ["0-3", "3-1", "x", "1-", "-4", "1-2-3"])
def test_a_part_is_two_numbers(part: str) -> None:
    """Bad input is one line, before anything is started."""
    result = CliRunner().invoke(main, ["sweep", "roll", "--steps", part])
    assert result.exit_code == EXIT_BAD_INPUT
    assert result.stderr.count("\n") == 1
    assert "expected two numbers" in result.stderr
