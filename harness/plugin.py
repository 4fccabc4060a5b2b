"""The pytest plugin: environments as fixtures, a folder per test, a leak audit after each, typed skips.

session  run folder -> toolchain -> foundation     (one per worker, started by the first test that needs it)
test     case folder -> history -> environment -> the test -> close -> leak audit
"""

import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.artefacts import RunFolder, runs_folder
from harness.capability import Unavailable, capability_named, probe_all
from harness.env import Environment, Foundation
from harness.env.foundation import NEEDED
from harness.env.recording import recording
from harness.errors import HarnessError
from harness.leaks import LeakAudit
from harness.run_stash import RUN_FOLDER, run_folder_of
from harness.toolchain import Toolchain

_WORKER_RUN_FOLDER = "fleetproof_run_folder"
_REQUIRE_ALL = "all"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fleetproof")
    group.addoption("--runs", type=Path, help="folder that gets a folder per run (default: .fleetproof/runs)")
    group.addoption(
        "--operator",
        metavar="COMMAND",
        help="the operator under test, started with the environment of docs/contract.md (default: fleet operator)",
    )
    group.addoption("--require", default="", help="capabilities whose absence fails instead of skipping: all, or names")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder first: Allure's results go into it, and that plugin reads its option right after this."""
    try:
        for name in _required(config) - {_REQUIRE_ALL}:
            capability_named(name)
    except HarnessError as e:
        raise pytest.UsageError(f"--require: {e}") from e
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell that runs a job in the background ignores it, and all that we start would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "needs(*capabilities): skip, with a typed reason, where one is not there")
    config.addinivalue_line("markers", "rule(*numbers): the rules of docs/contract.md that a test shows to hold")
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        runs = runs_folder(config.getoption("--runs"), environ=os.environ, cwd=Path.cwd())
        try:
            folder = RunFolder.create(runs, started=datetime.now(UTC))
        except HarnessError as e:
            raise pytest.UsageError(str(e)) from e
    else:
        folder = RunFolder.open(Path(worker_input[_WORKER_RUN_FOLDER]))
    config.stash[RUN_FOLDER] = folder
    config.add_cleanup(folder.close)
    if not config.option.allure_report_dir:
        config.option.allure_report_dir = str(folder.path / "allure-results")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: object) -> None:
    """Share the controller's run folder with an xdist worker."""
    worker_input: dict[str, str] = node.workerinput  # type: ignore[attr-defined] # xdist has no types
    config: pytest.Config = node.config  # type: ignore[attr-defined] # likewise
    worker_input[_WORKER_RUN_FOLDER] = str(run_folder_of(config))


def _required(config: pytest.Config) -> set[str]:
    return {name for name in config.getoption("--require").split(",") if name}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that needs what this machine lacks is skipped with a typed reason, or fails where it was required."""
    required = _required(item.config)
    for marker in item.iter_markers("needs"):
        for name, result in probe_all(marker.args).items():
            if not isinstance(result, Unavailable):
                continue
            text = f"[{result.reason}] {name}: {result.detail}; to enable: {capability_named(name).enable}"
            if required & {name, _REQUIRE_ALL}:
                pytest.fail(text, pytrace=False)
            pytest.skip(text)


@pytest.fixture(scope="session")
def operator_command(pytestconfig: pytest.Config) -> Sequence[str]:
    """How the operator under test is started; a scenario may override it. No shell reads it."""
    command = pytestconfig.getoption("--operator")
    return shlex.split(command) if command else (sys.executable, "-m", "fleet", "operator")


@pytest.fixture(scope="session")
async def foundation() -> AsyncIterator[Foundation]:
    """What this worker's tests share. Missing programs are built first, which takes minutes once."""
    binaries = Toolchain().ensure_all(NEEDED)
    foundation = await Foundation.start(binaries, lambda _: None)
    try:
        yield foundation
    finally:
        await foundation.close()


@pytest.fixture
def case_folder(request: pytest.FixtureRequest) -> Path:
    """Where this test leaves its history and logs. A test that runs once more gets a folder of its own."""
    rerun = int(getattr(request.node, "execution_count", 1)) - 1
    return request.config.stash[RUN_FOLDER].case(request.node.nodeid, rerun)


@pytest.fixture
def scenario_name(request: pytest.FixtureRequest) -> tuple[str, str, str | None]:
    """(scenario, case, defect) for the history's first line."""
    return request.node.originalname, request.node.name, None


@pytest.fixture
async def env(
    foundation: Foundation,
    case_folder: Path,
    scenario_name: tuple[str, str, str | None],
    operator_command: Sequence[str],
) -> AsyncIterator[Environment]:
    """A world of this test's own; afterwards only its folder is left, and the audit says so."""
    audit = LeakAudit(foundation.warden, admin=foundation.admin, toxiproxy=foundation.toxiproxy)
    await audit.before()
    with recording(case_folder, *scenario_name) as recorder:
        env = await Environment.open(foundation, case_folder, recorder, operator_command)
        try:
            yield env
        finally:
            await env.close()
    await audit.check()
