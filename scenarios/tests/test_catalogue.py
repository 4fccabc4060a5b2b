"""The catalogue, the tests and the defects fit together; a selection leaves out what was not chosen."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import harness.checks
import scenarios
from scenarios.catalogue import SHAPES, Shape, shape
from scenarios.defects import DEFECTS, defects_of
from scenarios.defects.defect import Defect
from scenarios.page import page
from scenarios.pinned import pinned

FOLDER = Path(scenarios.__file__).parent
RECOVERY_SHAPES = 20
WRONG_WORLDS = 3
ROLLS = 12
CASES_MIN = 100
DEFECTS_MIN = 30
DIAGRAM_LINES_MAX = 8
DIAGRAM_CHARS_MAX = 76


def cases_of(shape_id: str) -> list[str]:
    """The case ids of all tests of a shape."""
    return [case for test in pinned() if test.shape.id == shape_id for case in test.cases]


def test_shapes_are_told_apart() -> None:
    """Ids and numbers are unique, and either finds its shape."""
    assert len({s.id for s in SHAPES}) == len({s.number for s in SHAPES}) == len(SHAPES)
    assert all(shape(s.id) is shape(s.number) is s for s in SHAPES)
    with pytest.raises(KeyError):
        shape("no-such")


def test_the_catalogue_is_whole() -> None:
    """Twenty recovery shapes and the wrong worlds, numbered without a gap, in their order."""
    twenty = [str(number) for number in range(1, RECOVERY_SHAPES + 1)]
    wrong_worlds = [f"W{number}" for number in range(1, WRONG_WORLDS + 1)]
    rolls = [f"R{number}" for number in range(1, ROLLS + 1)]
    assert [s.number for s in SHAPES] == twenty + wrong_worlds + rolls


def test_there_is_enough_of_it() -> None:
    """Cases and defects, in all."""
    assert sum(len(test.cases) for test in pinned() if test.shape in SHAPES) >= CASES_MIN
    assert len(DEFECTS) >= DEFECTS_MIN


@pytest.mark.parametrize("one", SHAPES, ids=[s.id for s in SHAPES])
def test_each_shape_is_tested_and_was_seen_red(one: Shape) -> None:
    """It has cases whose ids are unique over all its tests, and a defect that it catches."""
    cases = cases_of(one.id)
    assert cases
    assert len(set(cases)) == len(cases)
    assert defects_of(one.id)


@pytest.mark.parametrize("one", SHAPES, ids=[s.id for s in SHAPES])
def test_each_shape_is_told_and_drawn(one: Shape) -> None:
    """Every field says something, and the diagram is a few lines of plain text that fit on a page."""
    assert all((one.title, one.trigger, one.expected, one.oracle))
    lines = one.diagram.strip("\n").splitlines()
    assert 1 <= len(lines) <= DIAGRAM_LINES_MAX
    assert max(map(len, lines)) <= DIAGRAM_CHARS_MAX
    assert one.diagram.isascii()


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=DEFECTS)
def test_each_defect_names_what_there_is(defect: Defect) -> None:
    """Its shape is in the catalogue, its case is one of that shape's, its check is one of the harness's."""
    assert DEFECTS[defect.name] is defect
    assert defect.case in cases_of(shape(defect.shape).id)
    named = re.compile(rf'^ +name(, \w+)? = "{re.escape(defect.check)}"', re.MULTILINE)
    assert any(named.search(path.read_text()) for path in Path(harness.checks.__file__).parent.glob("*.py"))


def test_every_defect_is_listed() -> None:
    """None is forgotten in its family's list, and none hides another's name."""
    modules = [f"scenarios.defects.{path.parent.name}.{path.stem}" for path in FOLDER.glob("defects/*/[!_]*.py")]
    found = [value for module in modules for value in vars(importlib.import_module(module)).values()]
    made = [defect for defect in found if isinstance(defect, Defect)]
    assert {defect.name for defect in made} == set(DEFECTS)
    assert all(DEFECTS[defect.name] is defect for defect in made)


def test_the_page_is_the_catalogue() -> None:
    """docs/scenarios.md is what `fleetproof list --markdown` makes of it now."""
    text = (FOLDER.parent / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert text == page(SHAPES, pinned(), list(DEFECTS.values())), "fleetproof list --markdown > docs/scenarios.md"


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
    cases = {case for test in pinned() for case in test.cases}
    defective = {f"{d.case}-with-{d.name}" for d in DEFECTS.values()}
    assert cases | defective <= ids
    assert not {name for name in ids - defective if "-with-" in name and name not in cases}
    assert "deselected" not in last


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--defect=no-seed"], {"8x4-sigkill-with-no-seed"}),
        (["--defects-only", "--defect=no-seed"], {"8x4-sigkill-with-no-seed"}),
        (["--case=k1", "--case=k2"], {"k1", "k2"}),
        (["--shape=killed-mid-tick", "--case=8x4-sigkill"], set()),
        (["--shape=two-operators", "--case=60s"], {"60s"}),
    ],
    ids=["defect", "defect to catch", "cases", "nothing", "long by name"],
)
def test_a_choice_deselects_the_rest(tmp_path: Path, options: list[str], expected: set[str]) -> None:
    """What was not chosen is deselected, never skipped."""
    ids, last = collected(f"--runs={tmp_path}", *options)
    assert ids == expected
    assert "deselected" in last
    assert "skipped" not in last


def test_a_shape_by_number(tmp_path: Path) -> None:
    """Its cases; with `--defects-only` what it has to catch; long ones only where they are asked for."""
    seven = shape("7").id
    ids, _ = collected(f"--runs={tmp_path}", "--shape=7", "--sound-only", "--long")
    assert ids == set(cases_of(seven))
    ids, _ = collected(f"--runs={tmp_path}", "--shape=7", "--sound-only")
    assert ids == set(cases_of(seven)) - {"60s"}
    ids, _ = collected(f"--runs={tmp_path}", "--shape=7", "--defects-only")
    assert ids == {f"{d.case}-with-{d.name}" for d in defects_of(seven)}
