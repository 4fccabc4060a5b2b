"""The matrix: each defect in its own shape and case, and whether the check that is named for it caught it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.history import Verdict
from reports.case import CaseResult
from scenarios.defects import Defect
from scenarios.running.run_table import print_findings
from scenarios.running.runner import Done


@dataclass(frozen=True, slots=True)
class DefectRow:
    """One defect. Its run passes if the named check was red on an operator that had come up."""

    defect: Defect
    run: CaseResult | None

    @property
    def caught(self) -> bool:
        return self.run is not None and self.run.outcome == "pass"

    @property
    def reason(self) -> str:
        return self.run.headline if self.run is not None else "was not run"

    @property
    def red(self) -> list[str]:
        """Every check that was red, the named one or not."""
        return [v.check for v in self.run.history.of(Verdict) if v.outcome == "fail"] if self.run is not None else []


def rows_of(done: Done, defects: Sequence[Defect]) -> list[DefectRow]:
    """Pure."""
    runs = {case.defect: case for case in done.cases}
    return [DefectRow(defect, runs.get(defect.name)) for defect in defects]


def as_json(done: Done, rows: Sequence[DefectRow]) -> dict[str, object]:
    return {
        "caught": sum(row.caught for row in rows),
        "missed": sum(not row.caught for row in rows),
        "seconds": round(done.seconds, 1),
        "trouble": done.trouble,
        "interrupted": done.interrupted,
        "defects": [
            {"defect": row.defect.name, "shape": row.defect.shape, "case": row.defect.case, "check": row.defect.check}
            | {"caught": row.caught, "reason": row.reason, "red": row.red}
            | {"seconds": row.run.seconds if row.run else None}
            for row in rows
        ],
    }


def print_matrix(done: Done, rows: Sequence[DefectRow], console: Console) -> None:
    """A row per defect, then what is known of those that were missed."""
    table = Table(box=None, pad_edge=False)
    for heading in ("defect", "shape", "case", "must be caught by", "verdict", "time"):
        table.add_column(heading, justify="right" if heading == "time" else "left")
    for row in rows:
        verdict = "[green]caught[/]" if row.caught else "[bold red]MISSED[/]"
        took = f"{row.run.seconds:.1f} s" if row.run and row.run.seconds is not None else ""
        defect = row.defect
        table.add_row(defect.name, defect.shape, escape(defect.case), defect.check, verdict, took)
    console.print(table)
    for row in rows:
        if not row.caught:
            console.print(f"\n[bold red]MISSED[/] {row.defect.name}: {escape(row.reason)}")
            if row.run is not None:
                print_findings(done, row.run, console)
    if done.trouble:
        console.print(f"[magenta]trouble[/] {escape(done.trouble)}")
    console.print(f"{sum(row.caught for row in rows)} of {len(rows)} defects were caught")
