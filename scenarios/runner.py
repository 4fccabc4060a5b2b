"""Runs chosen shapes with pytest in this process and tells how it goes, one line per case."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import scenarios
from harness.history import Verdict, worst
from harness.run_stash import run_folder_of
from reports.case import CaseResult
from reports.results import load_run
from scenarios.console import verdict_word

REPORT = "report.html"
# What pyproject.toml sets in a clone; an installed wheel has no such file.
_INI = (
    "addopts=",
    "asyncio_mode=auto",
    "asyncio_default_fixture_loop_scope=session",
    "asyncio_default_test_loop_scope=session",
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run. `shapes` are ids; no `cases` means all of them."""

    shapes: Sequence[str]
    cases: Sequence[str]
    defect: str | None
    workers: int
    runs: Path | None

    def arguments(self) -> list[str]:
        arguments = [
            str(Path(scenarios.__file__).parent),
            "-p",
            "harness.plugin",
            "--sound-only",
            "--import-mode=importlib",
        ]
        arguments += ["-p", "no:terminal", "-p", "no:cacheprovider"]
        arguments += [part for option in _INI for part in ("-o", option)]
        arguments += [f"--shape={shape}" for shape in self.shapes]
        arguments += [f"--case={case}" for case in self.cases]
        if self.defect:
            arguments += [f"--defect={self.defect}"]
        if self.workers > 1:
            arguments += ["-n", str(self.workers)]
        if self.runs:
            arguments += [f"--runs={self.runs}"]
        return arguments


@dataclass(slots=True)
class Done:
    """What came of it. `trouble` is what pytest said went wrong outside of any case."""

    folder: Path | None = None
    cases: list[CaseResult] = field(default_factory=list)
    trouble: str | None = None
    seconds: float = 0.0

    @property
    def report(self) -> Path | None:
        return self.folder / REPORT if self.folder else None

    def as_json(self) -> dict[str, object]:
        return {
            "report": str(self.report),
            "seconds": round(self.seconds, 1),
            "trouble": self.trouble,
            "cases": [
                {
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
                for case in self.cases
            ],
        }

    def print(self, console: Console) -> None:
        """A table of shapes, then whatever did not pass, with the place in its history."""
        table = Table(box=None, pad_edge=False)
        for heading in ("shape", "cases", "passed", "verdict", "time"):
            table.add_column(heading)
        for shape_id in dict.fromkeys(case.scenario for case in self.cases):
            group = [case for case in self.cases if case.scenario == shape_id]
            passed = sum(case.outcome == "pass" for case in group)
            overall = worst(case.outcome for case in group)
            seconds = sum(case.seconds or 0.0 for case in group)
            table.add_row(shape_id, str(len(group)), str(passed), verdict_word(overall), f"{seconds:.1f} s")
        console.print(table)
        for case in self.cases:
            if case.outcome != "pass":
                self._print_case(case, console)
        if self.trouble:
            console.print(f"[magenta]trouble[/] {escape(self.trouble)}")
        console.print(f"report: {self.report}")

    def _print_case(self, case: CaseResult, console: Console) -> None:
        console.print(f"\n{verdict_word(case.outcome)} {escape(case.id)}")
        history = self.folder / case.artefacts["history"] if self.folder and "history" in case.artefacts else None
        for verdict in case.history.of(Verdict):
            if verdict.outcome == "pass":
                continue
            word = verdict_word(verdict.outcome)
            console.print(f"  {word} {verdict.check}: {escape(verdict.reason)}")
            if verdict.evidence and history:
                lines = ", ".join(map(str, verdict.evidence))
                console.print(f"    see {history} line {lines}")
        if not case.history.of(Verdict):
            console.print(f"  {escape(case.headline)}")


class _Teller:
    """A pytest plugin in place of the terminal reporter: a line per case, and what failed outside of one."""

    def __init__(self, console: Console, done: Done) -> None:
        self._console = console
        self._done = done
        self._total = 0
        self._count = 0

    def pytest_configure(self, config: pytest.Config) -> None:
        self._done.folder = run_folder_of(config)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items) or self._total

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._total = len(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._trouble(str(report.longrepr))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._count += 1
            word = "[green]ok[/]    " if report.passed else "[bold red]not ok[/]"
            name = escape(report.nodeid.rpartition("::")[2])
            line = f"{word} {self._count}/{self._total} {name} ({report.duration:.1f} s)"
            self._console.print(line)
        elif report.failed:
            self._trouble(f"{report.nodeid}: {report.when}: {_last_line(str(report.longrepr))}")

    def _trouble(self, text: str) -> None:
        self._done.trouble = self._done.trouble or text


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), text)


def execute(selection: Selection, console: Console) -> Done:
    """Run it; the cases come back from the result files that the run left."""
    done = Done()
    began = time.monotonic()
    with console.status("starting a Kubernetes API, NATS and toxiproxy"):
        code = pytest.main(selection.arguments(), plugins=[_Teller(console, done)])
    done.seconds = time.monotonic() - began
    if done.folder is not None:
        done.cases = load_run(done.folder)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        done.trouble = done.trouble or f"pytest ended with {pytest.ExitCode(code).name.lower()}"
    return done
