"""Runs chosen scenarios with pytest in this process and tells how it goes, one line per case."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from rich.console import Console
from rich.markup import escape

import scenarios
from harness.artefacts import RUNS_VARIABLE, runs_folder
from harness.env.foundation import NEEDED
from harness.errors import HarnessError
from harness.run_stash import LEFT_OVERS, run_folder_of
from harness.toolchain import Toolchain
from reports.case import CaseResult
from reports.results import load_run
from scenarios.cases import MARKER

# What pyproject.toml sets in a clone; an installed wheel has no such file.
_INI = (
    "addopts=",
    "asyncio_mode=auto",
    "asyncio_default_fixture_loop_scope=session",
    "asyncio_default_test_loop_scope=session",
    "timeout=600",
)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to run; no `shapes`, `cases` or `defects` means all of them.

    `defects_only` is the matrix: each defect in its own case, which passes if it is caught. `folder` has scenarios of
    the user's own instead of ours.
    """

    shapes: Sequence[str] = ()
    cases: Sequence[str] = ()
    defects: Sequence[str] = ()
    defects_only: bool = False
    toothless: bool = False
    operator: str | None = None
    agent: str | None = None
    workers: int = 1
    runs: Path | None = None
    folder: Path | None = None

    def arguments(self) -> list[str]:
        arguments = ["-p", "scenarios.plugin", "-m", MARKER, "--long"]
        if self.folder is None:
            ours = Path(scenarios.__file__).parent
            # The unit tests of this package are no scenarios: some of them start this very command.
            arguments += [str(ours), f"--ignore={ours / 'tests'}", "--import-mode=importlib"]
        else:
            # With the folder itself on the path: what lies beside a test can be imported.
            arguments += [str(self.folder), "--import-mode=prepend"]
        # Without `tmpdir`: no scenario takes one of its folders, and xdist would leave one behind.
        arguments += ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:tmpdir"]
        arguments += [part for option in _INI for part in ("-o", option)]
        arguments += [f"--shape={shape}" for shape in self.shapes]
        arguments += [f"--case={case}" for case in self.cases]
        arguments += [f"--defect={defect}" for defect in self.defects]
        arguments += ["--defects-only" if self.defects_only else "--sound-only"]
        if self.toothless:
            arguments += ["--toothless"]
        if self.operator:
            arguments += [f"--operator={self.operator}"]
        if self.agent:
            arguments += [f"--agent={self.agent}"]
        if self.workers > 1:
            arguments += ["-n", str(self.workers)]
        if self.runs:
            arguments += [f"--runs={self.runs}"]
        return arguments


@dataclass(slots=True)
class Done:
    """What came of it. `trouble` is what went wrong outside of any case."""

    folder: Path | None = None
    cases: list[CaseResult] = field(default_factory=list)
    trouble: str | None = None
    seconds: float = 0.0
    interrupted: bool = False


class _Teller:
    """A pytest plugin in place of the terminal reporter: a line per case, and what failed outside of one."""

    def __init__(self, console: Console, done: Done) -> None:
        self._console = console
        self._done = done
        self._total = 0
        self._count = 0

    def pytest_configure(self, config: pytest.Config) -> None:
        self._done.folder = run_folder_of(config)

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        for told in session.config.stash.get(LEFT_OVERS, []):
            self._console.print(f"[yellow]cleared[/] {escape(told)}")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._total = len(session.items) or self._total

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._total = len(ids)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._trouble(f"{report.nodeid}: {_reason(report)}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            self._count += 1
            word = "[green]ok[/]    " if report.passed else "[bold red]not ok[/]"
            name = escape(report.nodeid.rpartition("::")[2])
            line = f"{word} {self._count}/{self._total} {name} ({report.duration:.1f} s)"
            self._console.print(line)
        elif report.failed:
            self._trouble(f"{report.nodeid}: {report.when}: {_reason(report)}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Ctrl-C, but not pytest's own end of a session in which something could not be collected."""
        self._done.interrupted = not isinstance(excinfo.value, pytest.Session.Interrupted)

    def _trouble(self, text: str) -> None:
        self._done.trouble = self._done.trouble or text


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """One line of what was raised; pytest's own words have the place in the code instead."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return next((line for line in str(crash.message).splitlines() if line.strip()), "")
    lines = [line for line in str(report.longrepr).splitlines() if line.strip()]
    # Of a whole traceback as text, what was raised stands in the last of the lines marked so.
    raised = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    return [*lines[:1], *raised][-1] if lines else ""


def execute(selection: Selection, console: Console) -> Done:
    """Run it; the cases come back from the result files that the run left, also after Ctrl-C.

    Raises:
        HarnessError: a program or the folder for the run can't be had; nothing was started then.
        KeyboardInterrupt: SIGINT came before the first case.
    """
    # Before pytest, which would keep the progress of a build of minutes to itself.
    Toolchain().ensure_all(NEEDED)
    _check_writable(runs_folder(selection.runs, environ=os.environ, cwd=Path.cwd()))
    done = Done()
    began = time.monotonic()
    with console.status("starting a Kubernetes API, NATS and toxiproxy"):
        code = pytest.main(selection.arguments(), plugins=[_Teller(console, done)])
    done.seconds = time.monotonic() - began
    # The folder of a run in which nothing ran is gone.
    if done.folder is not None and done.folder.is_dir():
        # A case that Ctrl-C cut short has no result, and is no news.
        done.cases = [case for case in load_run(done.folder) if case.rerun or not done.interrupted]
    if done.interrupted and not done.cases:
        raise KeyboardInterrupt
    done.trouble = done.trouble or _trouble_of(pytest.ExitCode(code), done)
    return done


def _trouble_of(code: pytest.ExitCode, done: Done) -> str | None:
    """What an end of pytest's says that no case does."""
    if code in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED} or done.interrupted:
        return None
    if code == pytest.ExitCode.TESTS_FAILED:
        return "pytest failed outside of the cases" if all(case.outcome == "pass" for case in done.cases) else None
    return f"pytest ended with {code.name.lower()}"


def _check_writable(runs: Path) -> None:
    try:
        runs.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=runs).close()
    except OSError as e:
        raise HarnessError(
            f"{runs}: can't be written: {e.strerror}; set {RUNS_VARIABLE} to a folder that you may write"
        ) from e
