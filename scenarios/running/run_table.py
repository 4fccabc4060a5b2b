"""What a run showed, by shape: for people a table and whatever did not pass, for machines JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.history import Verdict, VerdictOutcome, worst
from reports.case import CaseResult
from reports.results import REPORT_FILE
from scenarios.running.console import verdict_word
from scenarios.running.runner import Done


@dataclass(frozen=True, slots=True)
class ShapeRow:
    """One shape in this run. Without a case nobody looked, which is no pass."""

    shape: str
    cases: Sequence[CaseResult]

    @property
    def passed(self) -> int:
        return sum(case.outcome == "pass" for case in self.cases)

    @property
    def verdict(self) -> VerdictOutcome:
        return worst(case.outcome for case in self.cases)

    @property
    def seconds(self) -> float:
        return sum(case.seconds or 0.0 for case in self.cases)


def rows_of(done: Done, wanted: Sequence[str]) -> list[ShapeRow]:
    """One per shape, first those that are wanted, in their order, whether they had a case or not. Pure."""
    shapes = dict.fromkeys([*wanted, *(case.scenario for case in done.cases)])
    return [ShapeRow(shape, [case for case in done.cases if case.scenario == shape]) for shape in shapes]


def verdict_of(done: Done, rows: Sequence[ShapeRow]) -> VerdictOutcome:
    """Over all of it; trouble outside of the cases may have kept any of them from failing. Pure."""
    trouble: list[VerdictOutcome] = ["infra-error"] if done.trouble else []
    return worst([*(row.verdict for row in rows), *trouble])


def as_json(done: Done, rows: Sequence[ShapeRow]) -> dict[str, object]:
    return {
        "verdict": verdict_of(done, rows),
        "report": str(_report(done)),
        "seconds": round(done.seconds, 1),
        "trouble": done.trouble,
        "interrupted": done.interrupted,
        "shapes": [
            {"shape": row.shape, "cases": len(row.cases), "passed": row.passed}
            | {"verdict": row.verdict, "seconds": round(row.seconds, 1)}
            for row in rows
        ],
        "cases": [_case_json(case) for case in done.cases],
    }


def _case_json(case: CaseResult) -> dict[str, object]:
    return {
        "shape": case.scenario,
        "case": case.case,
        "defect": case.defect,
        "outcome": case.outcome,
        "headline": case.headline,
        "seconds": case.seconds,
        "checks": [
            {"check": v.check, "outcome": v.outcome, "reason": v.reason, "lines": list(v.evidence)}
            for v in case.history.of(Verdict)
        ],
        "history": case.artefacts.get("history"),
    }


def print_run(done: Done, rows: Sequence[ShapeRow], console: Console) -> None:
    """A table of shapes, then whatever did not pass, with the place in its history."""
    table = Table(box=None, pad_edge=False)
    for heading in ("shape", "cases", "passed", "verdict", "time"):
        table.add_column(heading, justify="left" if heading in ("shape", "verdict") else "right")
    for row in rows:
        if row.cases:
            table.add_row(
                row.shape, str(len(row.cases)), str(row.passed), verdict_word(row.verdict), f"{row.seconds:.1f} s"
            )
        else:
            table.add_row(row.shape, "0", "0", "[yellow]not run[/]", "")
    console.print(table)
    for case in done.cases:
        if case.outcome != "pass":
            _print_case(done, case, console)
    if done.trouble:
        console.print(f"[magenta]trouble[/] {escape(done.trouble)}")
    console.print(f"report: {_report(done)}")


def _print_case(done: Done, case: CaseResult, console: Console) -> None:
    console.print(f"\n{verdict_word(case.outcome)} {escape(case.id)}")
    if not print_findings(done, case, console) or case.outcome == "infra-error":
        console.print(f"  {escape(case.headline)}")


def print_findings(done: Done, case: CaseResult, console: Console) -> bool:
    """What its checks said against it, and where that is to be seen; whether there is any."""
    history = done.folder / case.artefacts["history"] if done.folder and "history" in case.artefacts else None
    against = [verdict for verdict in case.history.of(Verdict) if verdict.outcome != "pass"]
    for verdict in against:
        console.print(f"  {verdict_word(verdict.outcome)} {verdict.check}: {escape(verdict.reason)}")
        if verdict.evidence and history:
            console.print(f"    see {history} line {', '.join(map(str, verdict.evidence))}")
    return bool(against)


def _report(done: Done) -> Path | None:
    return done.folder / REPORT_FILE if done.folder else None
