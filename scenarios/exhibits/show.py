"""What the show of faults showed: for people a table, for machines JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.capability import Unavailable, probe_all
from harness.history import Fault, VerdictOutcome, worst
from harness.history.records import FaultEvent
from reports.case import CaseResult
from scenarios.exhibits.exhibit import Exhibit
from scenarios.running.console import verdict_word
from scenarios.running.runner import Done


@dataclass(frozen=True, slots=True)
class FaultRow:
    """One fault. `missing` says what it lacks on this machine, where it could not be tried."""

    exhibit: Exhibit
    run: CaseResult | None
    missing: str | None
    toothless: bool

    @property
    def outcome(self) -> VerdictOutcome | None:
        """None where it was not tried."""
        return self.run.outcome if self.run is not None else None

    @property
    def as_expected(self) -> bool:
        if self.run is None:
            return self.missing is not None
        return self.run.outcome == ("inconclusive" if self.toothless else "pass")

    @property
    def seconds(self) -> float | None:
        return self.run.seconds if self.run is not None else None

    def told(self, *events: FaultEvent) -> str:
        """The words of its first proof of this kind."""
        faults = self.run.history.of(Fault) if self.run is not None else []
        return next((fault.detail for fault in faults if fault.event in events), "")


def rows_of(done: Done, exhibits: Sequence[Exhibit], *, toothless: bool) -> list[FaultRow]:
    """Probes what those lack that were not run."""
    runs = {case.case: case for case in done.cases}
    return [FaultRow(e, runs.get(e.name), None if e.name in runs else _missing(e), toothless) for e in exhibits]


def verdict_of(done: Done, rows: Sequence[FaultRow]) -> VerdictOutcome:
    """A fault that did not bite, or a proof that was fooled, is a fail: of the harness, not of the product."""
    outcomes: list[VerdictOutcome] = ["pass" if row.as_expected else "fail" for row in rows]
    # pytest calls a case that is in doubt failed; here that is what was asked for.
    return worst([*outcomes, *(["infra-error"] if done.trouble else [])])  # type: ignore[list-item] # a literal


def as_json(done: Done, rows: Sequence[FaultRow]) -> dict[str, object]:
    def told(row: FaultRow) -> dict[str, object]:
        return {
            "fault": row.exhibit.name,
            "does": row.exhibit.does,
            "outcome": row.outcome,
            "missing": row.missing,
            "active": row.told("proved-active"),
            "healed": row.told("proved-healed"),
            "unproved": row.told("unproved"),
            "seconds": row.seconds,
        }

    return {
        "verdict": verdict_of(done, rows),
        "seconds": round(done.seconds, 1),
        "trouble": done.trouble,
        "interrupted": done.interrupted,
        "faults": [told(row) for row in rows],
    }


def print_show(done: Done, rows: Sequence[FaultRow], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("fault", "what it does", "verdict", "what was seen", "time"):
        table.add_column(heading, justify="right" if heading == "time" else "left")
    for row in rows:
        verdict = verdict_word(row.outcome) if row.outcome is not None else "[dim]not here[/]"
        seen = row.missing or row.told("unproved") or " / ".join((row.told("proved-active"), row.told("proved-healed")))
        took = f"{row.seconds:.1f} s" if row.seconds is not None else ""
        table.add_row(row.exhibit.name, row.exhibit.does, verdict, escape(seen), took)
    console.print(table)
    if done.trouble:
        console.print(f"[magenta]trouble[/] {escape(done.trouble)}")
    wrong = [row.exhibit.name for row in rows if not row.as_expected]
    toothless = any(row.toothless for row in rows)
    word = "in doubt without its teeth, as it should be" if toothless else "proved active and healed"
    console.print(f"{sum(row.as_expected and row.run is not None for row in rows)} of {len(rows)} faults: {word}")
    if wrong:
        console.print(f"[bold red]not so:[/] {escape(', '.join(wrong))}")


def _missing(exhibit: Exhibit) -> str | None:
    probed = probe_all(exhibit.needs)
    return next((f"{name}: {result}" for name, result in probed.items() if isinstance(result, Unavailable)), None)
