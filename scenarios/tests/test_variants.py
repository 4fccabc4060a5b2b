"""Which runs a test has, for each way to choose."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from scenarios.catalogue import SHAPES
from scenarios.defects import Defect
from scenarios.variants import Choice, Marked, Variant, variants_of

SHAPE = SHAPES[0]


@dataclass(frozen=True)
class Long:
    long: bool = True


def a_defect(name: str, case: str) -> Defect:
    return Defect(name, SHAPE.id, case, "a-check", "a story", lambda: None)


DROPS = a_defect("drops", "short")
MARKED = Marked(SHAPE, {"short": 1, "hour": Long()}, (DROPS, a_defect("slow", "hour"), a_defect("other", "elsewhere")))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(), ["short", "short-with-drops", "hour-with-slow"]),
        (Choice(long=True), ["short", "hour", "short-with-drops", "hour-with-slow"]),
        (Choice(sound_only=True), ["short"]),
        (Choice(cases=["hour"]), ["hour"]),
        (Choice(cases=["no-such"]), []),
        (Choice(shapes=[SHAPE.id], sound_only=True), ["short"]),
        (Choice(shapes=[SHAPE.number], sound_only=True), ["short"]),
        (Choice(shapes=["no-such"]), []),
        (Choice(defects=["drops"], sound_only=True), ["short-with-drops"]),
        (Choice(defects_only=True), ["short-with-drops", "hour-with-slow"]),
        (Choice(defects_only=True, defects=["slow"]), ["hour-with-slow"]),
    ],
    ids=str,
)
def test_what_is_chosen_runs(choice: Choice, expected: list[str]) -> None:
    """Long cases only where they are asked for; a defect runs with the test that has its case."""
    assert [variant.id for variant in variants_of(MARKED, choice)] == expected


@pytest.mark.parametrize(
    ("choice", "expect_red"),
    [(Choice(), True), (Choice(defects_only=True, defects=["drops"]), True), (Choice(defects=["drops"]), False)],
    ids=["beside the sound runs", "in the matrix", "alone"],
)
def test_a_defect_has_to_be_caught_unless_it_was_named_alone(choice: Choice, *, expect_red: bool) -> None:
    """Named alone it shows what it does: red."""
    runs = {variant.defect: variant.expect_red for variant in variants_of(MARKED, choice) if variant.defect}
    assert runs[DROPS] is expect_red


def test_rerun_names_what_to_run() -> None:
    """The command of a report runs just this variant."""
    assert Variant(SHAPE, "c", None).rerun == f"fleetproof run {SHAPE.id} --case c"
    assert Variant(SHAPE, "c", None, DROPS).rerun == f"fleetproof run {SHAPE.id} --defect drops"
    own = Variant(SHAPE, "c", None, folder=Path("/mine"))
    assert own.rerun == f"fleetproof run --from /mine {SHAPE.id} --case c"
