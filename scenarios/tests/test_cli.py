"""The `fleetproof` command as people and scripts call it: help, output for machines, verdicts as exit codes."""

import asyncio
import contextlib
import json
import os
import re
import signal

import pytest

from harness.capability import CAPABILITIES
from scenarios.catalogue import SHAPES
from scenarios.cli import main
from scenarios.defects import DEFECTS
from scenarios.tests.commands import FLEETPROOF, Command, Footprint, run

ANSI = "\x1b"
DEFECT = DEFECTS["buckets-made-again"]


@pytest.mark.parametrize("command", sorted(main.commands))
async def test_help_has_an_example(command: str, footprint: Footprint) -> None:
    """Each command's help shows at least one line to copy."""
    ended = await run([*FLEETPROOF, command, "--help"], footprint)
    assert ended.code == 0
    assert re.search(rf"Examples?:\n +fleetproof {command}", ended.text)


async def test_list_is_the_catalogue(footprint: Footprint) -> None:
    """For machines: every shape and every defect, once, as JSON and nothing else."""
    ended = await run([*FLEETPROOF, "list", "--json"], footprint)
    rows = json.loads("\n".join(ended.out))
    assert (ended.code, ended.err) == (0, [])
    assert [row["id"] for row in rows] == [shape.id for shape in SHAPES]
    assert sorted(defect["name"] for row in rows for defect in row["defects"]) == sorted(DEFECTS)
    assert next(row["cases"] for row in rows if row["id"] == DEFECT.shape).count(DEFECT.case) == 1


async def test_list_for_people_is_plain_in_a_pipe(footprint: Footprint) -> None:
    """No colours, no cursor control, every id in full."""
    ended = await run([*FLEETPROOF, "list"], footprint, changes={"TERM": "xterm-256color"})
    assert ended.code == 0
    assert ANSI not in ended.text
    assert all(shape.id in ended.text for shape in SHAPES)


async def test_doctor_tells_machines_what_is_here(footprint: Footprint) -> None:
    """One row per capability as JSON; what is not there says why and how to get it; nothing is left of the probes."""
    ended = await run([*FLEETPROOF, "doctor", "--json"], footprint, changes={"TERM": "xterm-256color"})
    rows = json.loads("\n".join(ended.out))
    assert ended.code == 0
    assert ANSI not in ended.text
    assert [row["name"] for row in rows] == [capability.name for capability in CAPABILITIES]
    for row in rows:
        assert row["used_for"]
        assert row["available"] == (row["reason"] is None)
        assert row["available"] or (row["detail"] and row["enable"])
    assert footprint.left() == []


async def test_a_defect_is_red_by_its_check(footprint: Footprint) -> None:
    """For people: exit code 1, the check that is named for the defect, its reason, and the line in the history."""
    ended = await run([*FLEETPROOF, "run", DEFECT.shape, "--defect", DEFECT.name], footprint)
    assert (ended.code, ended.err) == (1, [])
    assert ANSI not in ended.text
    (verdict,) = (n for n, line in enumerate(ended.out) if line.lstrip().startswith("FAIL") and DEFECT.check in line)
    assert re.search(rf"FAIL {DEFECT.check}: \w+", ended.out[verdict])
    place = re.fullmatch(r" +see (\S+/history\.jsonl) line (\d+)(, \d+)*", ended.out[verdict + 1])
    assert place is not None
    run_folder = (footprint.runs / "latest").resolve()
    (history,) = run_folder.glob("*/history.jsonl")
    assert place[1] == str(history)
    assert ended.out[-1] == f"report: {run_folder / 'report.html'}"
    assert (run_folder / "report.html").is_file()
    assert json.loads(history.read_text().splitlines()[int(place[2]) - 1])["type"] == "stream"
    assert footprint.left() == []


async def test_a_verdict_for_machines_is_json_alone(footprint: Footprint) -> None:
    """Stdout is one JSON document with the verdict of each check; what is told to people goes to stderr."""
    ended = await run([*FLEETPROOF, "run", DEFECT.shape, "--defect", DEFECT.name, "--json"], footprint)
    answer = json.loads("\n".join(ended.out))
    assert ended.code == 1
    assert ANSI not in ended.text
    assert any(line.startswith("not ok 1/1 ") for line in ended.err)
    (case,) = answer["cases"]
    assert (case["shape"], case["case"], case["defect"]) == (DEFECT.shape, DEFECT.case, DEFECT.name)
    assert case["outcome"] == "fail"
    (red,) = (check for check in case["checks"] if check["outcome"] == "fail")
    assert red["check"] == DEFECT.check
    assert red["reason"]
    lines = ((footprint.runs / "latest").resolve() / case["history"]).read_text().splitlines()
    assert all(1 <= line <= len(lines) for line in red["lines"])
    assert red["lines"]


async def test_the_matrix_of_one_defect(footprint: Footprint) -> None:
    """What is red by its check on its own case is caught: exit code 0, and a row that says by what."""
    ended = await run([*FLEETPROOF, "defects", DEFECT.name, "--json"], footprint)
    answer = json.loads("\n".join(ended.out))
    assert ended.code == 0, ended.text
    assert (answer["caught"], answer["missed"], answer["trouble"], answer["interrupted"]) == (1, 0, None, False)
    (row,) = answer["defects"]
    assert (row["defect"], row["shape"], row["case"]) == (DEFECT.name, DEFECT.shape, DEFECT.case)
    assert row["caught"]
    assert DEFECT.check in row["red"]
    assert row["seconds"] > 0
    assert any(
        line.startswith(f"ok     1/1 test_missing_buckets[{DEFECT.case}-with-{DEFECT.name}]") for line in ended.err
    )
    assert footprint.left() == []


async def test_a_parallel_run_for_machines(footprint: Footprint) -> None:
    """Two workers, two cases, one row for their shape; progress goes to stderr, counted."""
    cases = ("operator-first", "devices-first")
    chosen = [part for case in cases for part in ("--case", case)]
    ended = await run([*FLEETPROOF, "run", "15", *chosen, "-n", "2", "--json"], footprint)
    answer = json.loads("\n".join(ended.out))
    assert ended.code == 0, ended.text
    assert (answer["verdict"], answer["trouble"], answer["interrupted"]) == ("pass", None, False)
    (row,) = answer["shapes"]
    assert (row["shape"], row["cases"], row["passed"], row["verdict"]) == ("missing-buckets", 2, 2, "pass")
    assert {case["case"] for case in answer["cases"]} == set(cases)
    assert [line.split()[1] for line in ended.err if line.startswith("ok ")] == ["1/2", "2/2"]
    assert footprint.left() == []


async def test_an_interrupted_run_tells_what_was_run(footprint: Footprint) -> None:
    """Ctrl-C after the first case: its row, the shape that was not come to, the line, 130, and nothing is left."""
    command = await Command.start([*FLEETPROOF, "run", "missing-buckets", "killed-mid-tick"], footprint)
    await command.wait_line("ok     1/")
    command.interrupt(signal.SIGINT)
    ended = await command.end()
    assert ended.code == 130
    assert ended.err == ["fleetproof: interrupted; everything that was started is gone"]
    rows = [line.split() for line in ended.out]
    assert ["missing-buckets", "1", "1", "PASS"] in [row[:4] for row in rows]
    assert ["killed-mid-tick", "0", "0", "not", "run"] in rows
    assert footprint.left() == []


async def test_a_command_that_is_told_again_to_end_ends_in_order(footprint: Footprint) -> None:
    """`timeout` tells it and then its group: another SIGTERM, while its workers are being ended, changes nothing."""
    command = await Command.start([*FLEETPROOF, "run", "missing-buckets", "killed-mid-tick", "-n", "2"], footprint)
    await command.wait_line("ok     1/")
    ending = asyncio.create_task(command.end())
    while not ending.done():
        with contextlib.suppress(ProcessLookupError):
            os.kill(command.pid, signal.SIGTERM)
        await asyncio.wait({ending}, timeout=0.05)
    ended = await ending
    assert ended.err == ["fleetproof: interrupted; everything that was started is gone"]
    assert (ended.code, footprint.left()) == (130, [])
