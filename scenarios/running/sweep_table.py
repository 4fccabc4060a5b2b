"""What a sweep showed: for people a table by system call, for machines JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.history import VerdictOutcome, worst
from scenarios.running.console import verdict_word
from scenarios.running.sweep_roll import Done

_TOLD_MAX = 10


@dataclass(frozen=True, slots=True)
class CallRow:
    """One kind of system call: its steps in a clean roll, those that were to be swept, and how those ended."""

    call: str
    steps: int
    outcomes: Sequence[VerdictOutcome]

    @property
    def reached(self) -> int:
        """Where the agent was killed, whatever came of it."""
        return sum(outcome != "inconclusive" for outcome in self.outcomes)

    @property
    def verdict(self) -> VerdictOutcome:
        return worst(self.outcomes)


def rows_of(done: Done) -> list[CallRow]:
    """Pure. In the order in which the calls are first made."""
    swept = done.swept
    calls = dict.fromkeys(step.partition(" ")[0] for step in swept.steps)
    return [
        CallRow(
            call,
            sum(step.partition(" ")[0] == call for step in swept.steps),
            [swept.outcomes.get(s, "inconclusive") for s in swept.chosen if s.partition(" ")[0] == call],
        )
        for call in calls
    ]


def as_json(done: Done) -> dict[str, object]:
    swept = done.swept
    return {
        "verdict": swept.verdict,
        "report": str(done.report),
        "seconds": round(done.seconds, 1),
        "steps": len(swept.steps),
        "unsteady": list(swept.unsteady),
        "swept": len(swept.chosen),
        "reached": sum(row.reached for row in rows_of(done)),
        "troubles": swept.troubles,
        "calls": [
            {"call": row.call, "steps": row.steps, "swept": len(row.outcomes), "reached": row.reached}
            | {"verdict": row.verdict if row.outcomes else None}
            for row in rows_of(done)
        ],
        "not_passed": [
            {"step": step, "outcome": swept.outcomes.get(step, "inconclusive"), "words": swept.words.get(step, "")}
            for step in swept.chosen
            if swept.outcomes.get(step) != "pass"
        ],
        "checks": [
            {"check": finding.check, "outcome": finding.outcome, "reason": finding.reason}
            for judgement in swept.worlds
            for finding in judgement.findings
        ],
    }


def print_sweep(done: Done, console: Console) -> None:
    swept, rows = done.swept, rows_of(done)
    table = Table(box=None, pad_edge=False)
    for heading in ("system call", "steps", "swept", "reached", "verdict"):
        table.add_column(heading, justify="left" if heading in ("system call", "verdict") else "right")
    for row in rows:
        word = verdict_word(row.verdict) if row.outcomes else ""
        table.add_row(row.call, str(row.steps), str(len(row.outcomes)), str(row.reached), word)
    reached = sum(row.reached for row in rows)
    table.add_row("all", str(len(swept.steps)), str(len(swept.chosen)), str(reached), verdict_word(swept.verdict))
    console.print(table)
    wrong = [step for step in swept.chosen if swept.outcomes.get(step) != "pass"]
    for step in wrong[:_TOLD_MAX]:
        words = swept.words.get(step, "")
        console.print(f"  {verdict_word(swept.outcomes.get(step, 'inconclusive'))} {escape(step)}: {escape(words)}")
    if len(wrong) > _TOLD_MAX:
        console.print(f"  and {len(wrong) - _TOLD_MAX} more")
    for judgement in swept.worlds:
        for finding in judgement.findings:
            if finding.outcome != "pass":
                console.print(f"  {verdict_word(finding.outcome)} {finding.check}: {escape(finding.reason)}")
    for trouble in swept.troubles:
        console.print(f"[magenta]trouble[/] {escape(trouble)}")
    console.print(f"{done.seconds:.0f} s; report: {done.report}")
