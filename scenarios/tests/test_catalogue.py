"""The catalogue, the tests and the defects fit together; a selection leaves out what was not chosen."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import harness.checks
import scenarios
from scenarios.cases import MARKER
from scenarios.catalogue import SHAPES, shape
from scenarios.defects import DEFECTS, defects_of
from scenarios.defects.defect import Defect

FOLDER = Path(scenarios.__file__).parent


def rows_of(shape_id: str) -> list[set[str]]:
    """The case ids of each test of a shape."""
    marks = [
        mark
        for path in FOLDER.glob("test_*.py")
        for test in vars(importlib.import_module(f"scenarios.{path.stem}")).values()
        for mark in getattr(test, "pytestmark", [])
        if mark.name == MARKER
    ]
    return [set(mark.args[1]) for mark in marks if mark.args[0] == shape_id]


def test_shapes_are_told_apart() -> None:
    """Ids and numbers are unique, and either finds its shape."""
    assert len({s.id for s in SHAPES}) == len({s.number for s in SHAPES}) == len(SHAPES)
    assert all(shape(s.id) is shape(s.number) is s for s in SHAPES)
    with pytest.raises(KeyError):
        shape("no-such")


@pytest.mark.parametrize("shape_id", [s.id for s in SHAPES])
def test_each_shape_is_tested_and_was_seen_red(shape_id: str) -> None:
    """It has cases whose ids are unique over all its tests, and a defect that it catches."""
    rows = rows_of(shape_id)
    assert rows
    assert len(set.union(*rows)) == sum(map(len, rows))
    assert defects_of(shape_id)


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_each_defect_names_what_there_is(defect: Defect) -> None:
    """Its shape is in the catalogue, its case is one of that shape's, its check is one of the harness's."""
    assert DEFECTS[defect.name] is defect
    assert defect.case in set.union(*rows_of(shape(defect.shape).id))
    sources = [path.read_text() for path in Path(harness.checks.__file__).parent.glob("*.py")]
    assert any(f'name = "{defect.check}"' in text or f'name, window = "{defect.check}"' in text for text in sources)


def collected(*options: str) -> tuple[set[str], str]:
    """Ids of the variants that would run, and pytest's last line."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *options]
    tests = [str(path) for path in FOLDER.glob("test_*.py") if "@cases(" in path.read_text()]
    done = subprocess.run([*command, *tests], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own
    ids = {line.partition("[")[2].rstrip("]") for line in done.stdout.splitlines() if "::" in line}
    return ids, done.stdout.strip().splitlines()[-1]


def test_all_cases_and_defects_are_collected(tmp_path: Path) -> None:
    """Without a choice every case runs, and every defect once on its own case."""
    ids, last = collected(f"--runs={tmp_path}", "--long")
    cases = {case for s in SHAPES for rows in rows_of(s.id) for case in rows}
    assert ids == cases | {f"{d.case}-with-{d.name}" for d in DEFECTS.values()}
    assert "deselected" not in last


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--defect=no-seed"], {"8x4-sigkill-with-no-seed"}),
        (["--case=k1", "--case=k2"], {"k1", "k2"}),
        (["--shape=killed-mid-tick", "--sound-only"], {"k1", "k2", "k3", "k4", "k2-changed-while-down"}),
        (["--shape=killed-mid-tick", "--case=8x4-sigkill"], set()),
        (["--shape=two-operators", "--sound-only"], {"12s"}),
        (["--case=60s"], {"60s"}),
    ],
    ids=["defect", "cases", "shape", "nothing", "not long", "long by name"],
)
def test_a_choice_deselects_the_rest(tmp_path: Path, options: list[str], expected: set[str]) -> None:
    """What was not chosen is deselected, never skipped."""
    ids, last = collected(f"--runs={tmp_path}", *options)
    assert ids == expected
    assert "deselected" in last
    assert "skipped" not in last
