"""What a run and the matrix say of their cases: nothing that was not shown counts as passed."""

from pathlib import Path

import pytest

from harness.history import History, Verdict, VerdictOutcome
from reports.case import CaseResult
from scenarios.defects import DEFECTS
from scenarios.running import matrix, run_table
from scenarios.running.console import make_console
from scenarios.running.runner import Done

RUN = Path("/runs/one")
DEFECT, OTHER = DEFECTS["no-seed"], DEFECTS["dirty-marks-lost"]


def case(shape: str, outcome: VerdictOutcome = "pass", *, defect: str | None = None, red: str = "") -> CaseResult:
    verdict = Verdict(at_s=1.0, check=red, outcome="fail", reason="it [was] red", evidence=(3, 4))
    return CaseResult(
        id=f"{shape}[c]",
        title="t",
        outcome=outcome,
        headline=f"headline of {shape}",
        facts=(),
        history=History([verdict] if red else []),
        artefacts={"history": "c/history.jsonl"},
        scenario=shape,
        case="c",
        defect=defect,
        seconds=1.5,
    )


def done(*cases: CaseResult, trouble: str | None = None) -> Done:
    return Done(folder=RUN, cases=list(cases), trouble=trouble, seconds=4.0)


@pytest.mark.parametrize(
    ("run", "wanted", "verdict"),
    [
        (done(case("a"), case("b")), ["a", "b"], "pass"),
        (done(case("a"), case("b", "inconclusive")), ["a", "b"], "inconclusive"),
        (done(case("a"), case("b", "infra-error")), ["a", "b"], "infra-error"),
        (done(case("a", "inconclusive"), case("a", "fail")), ["a"], "fail"),
        (done(case("a")), ["a", "b"], "inconclusive"),
        (done(case("a"), trouble="a leak"), ["a"], "infra-error"),
        (done(case("a", "fail"), trouble="a leak"), ["a"], "fail"),
        (done(case("own")), [], "pass"),
    ],
    ids=["pass", "doubt", "infra", "fail first", "a shape not run", "trouble", "fail before trouble", "own shape"],
)
def test_verdict_of_a_run(run: Done, wanted: list[str], verdict: VerdictOutcome) -> None:
    """A failure outranks trouble, trouble outranks doubt, and a shape without a case is in doubt."""
    assert run_table.verdict_of(run, run_table.rows_of(run, wanted)) == verdict


def test_rows_are_shapes_in_the_order_that_was_asked_for() -> None:
    """Cases of all tests of a shape are one row; one that nobody ran has a row, too."""
    run = done(case("b"), case("a"), case("b", "fail"))
    rows = run_table.rows_of(run, ["a", "b", "c"])
    assert [(row.shape, len(row.cases), row.passed, row.verdict, row.seconds) for row in rows] == [
        ("a", 1, 1, "pass", 1.5),
        ("b", 2, 1, "fail", 3.0),
        ("c", 0, 0, "inconclusive", 0),
    ]
    answer = run_table.as_json(run, rows)
    assert answer["verdict"] == "fail"
    assert answer["shapes"] == [
        {"shape": "a", "cases": 1, "passed": 1, "verdict": "pass", "seconds": 1.5},
        {"shape": "b", "cases": 2, "passed": 1, "verdict": "fail", "seconds": 3.0},
        {"shape": "c", "cases": 0, "passed": 0, "verdict": "inconclusive", "seconds": 0},
    ]


def test_a_run_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """The table, then what did not pass with its place, or its headline if no check said anything."""
    run = done(case("a"), case("b", "fail", red="a-check"), case("d", "infra-error"), trouble="a [leak]")
    run_table.print_run(run, run_table.rows_of(run, ["a", "b", "c", "d"]), make_console(stderr=False))
    text = capsys.readouterr().out
    for part in (
        "FAIL b[c]\n  FAIL a-check: it [was] red\n    see /runs/one/c/history.jsonl line 3, 4\n",
        "INFRA ERROR d[c]\n  headline of d\n",
        "trouble a [leak]\n",
        "report: /runs/one/report.html\n",
    ):
        assert part in text
    assert ["c", "0", "0", "not", "run"] in [line.split() for line in text.splitlines()]
    assert "headline of a" not in text


def test_the_matrix_counts_what_was_caught(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that passed caught its defect; one that did not, or that there is none of, missed it."""
    caught = case(DEFECT.shape, defect=DEFECT.name, red=DEFECT.check)
    missed = case(OTHER.shape, "fail", defect=OTHER.name, red="another-check")
    run = done(caught, missed)
    gone = DEFECTS["plain-buckets"]
    rows = matrix.rows_of(run, [DEFECT, OTHER, gone])
    assert [(row.caught, row.red) for row in rows] == [(True, [DEFECT.check]), (False, ["another-check"]), (False, [])]
    answer = matrix.as_json(run, rows)
    assert (answer["caught"], answer["missed"]) == (1, 2)
    matrix.print_matrix(run, rows, make_console(stderr=False))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[4] for line in lines[1:4]] == ["caught", "MISSED", "MISSED"]
    assert "  FAIL another-check: it [was] red" in lines
    assert f"MISSED {OTHER.name}: headline of {OTHER.shape}" in lines
    assert f"MISSED {gone.name}: was not run" in lines
    assert lines[-1] == "1 of 3 defects were caught"
