"""Runs chosen shapes with pytest in this process and tells how it goes, one line per case."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import scenarios
from harness.artefacts import RUNS_VARIABLE, runs_folder
from harness.env.foundation import NEEDED
from harness.errors import HarnessError
from harness.history import Verdict, worst
from harness.run_stash import run_folder_of
from harness.toolchain import Toolchain
from reports.case import CaseResult
from reports.results import REPORT_FILE, load_run
from scenarios.console import verdict_word

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
    operator: str | None
    workers: int
    runs: Path | None

    def arguments(self) -> list[str]:
        folder = Path(scenarios.__file__).parent
        arguments = [
            str(folder),
            # The unit tests of this package are no scenarios: some of them start this very command.
            f"--ignore={folder / 'tests'}",
            "-p",
            "harness.plugin",
            "--sound-only",
            "--long",
            "--import-mode=importlib",
        ]
        # Without `tmpdir`: no scenario takes one of its folders, and xdist would leave one behind.
        arguments += ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:tmpdir"]
        arguments += [part for option in _INI for part in ("-o", option)]
        arguments += [f"--shape={shape}" for shape in self.shapes]
        arguments += [f"--case={case}" for case in self.cases]
        if self.defect:
            arguments += [f"--defect={self.defect}"]
        if self.operator:
            arguments += [f"--operator={self.operator}"]
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
        return self.folder / REPORT_FILE if self.folder else None

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
            self._trouble(f"{report.nodeid}: {report.when}: {_reason(report)}")

    def _trouble(self, text: str) -> None:
        self._done.trouble = self._done.trouble or text


def _reason(report: pytest.TestReport) -> str:
    """The first line of what was raised; pytest's own words have the place in the code instead."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(crash.message if crash is not None else report.longrepr)
    return next((line for line in text.splitlines() if line.strip()), text)


def execute(selection: Selection, console: Console) -> Done:
    """Run it; the cases come back from the result files that the run left.

    Raises:
        HarnessError: a program or the folder for the run can't be had; nothing was started then.
        KeyboardInterrupt: SIGINT ended it; pytest has cleaned up.
    """
    # Before pytest, which would keep the progress of a build of minutes to itself.
    Toolchain().ensure_all(NEEDED)
    _check_writable(runs_folder(selection.runs, environ=os.environ, cwd=Path.cwd()))
    done = Done()
    began = time.monotonic()
    with console.status("starting a Kubernetes API, NATS and toxiproxy"):
        code = pytest.main(selection.arguments(), plugins=[_Teller(console, done)])
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    done.seconds = time.monotonic() - began
    if done.folder is not None:
        done.cases = load_run(done.folder)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
        done.trouble = done.trouble or f"pytest ended with {pytest.ExitCode(code).name.lower()}"
    return done


def _check_writable(runs: Path) -> None:
    try:
        runs.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=runs).close()
    except OSError as e:
        raise HarnessError(
            f"{runs}: can't be written: {e.strerror}; set {RUNS_VARIABLE} to a folder that you may write"
        ) from e
