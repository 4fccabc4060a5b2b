"""The pytest plugin: environments as fixtures, a folder per test, a leak audit after each, typed skips.

session  run folder -> toolchain -> foundation     (one per worker, started by the first test that needs it)
test     case folder -> history -> environment -> the test -> close -> leak audit
"""

import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio

from harness.artefacts import RunFolder, runs_folder
from harness.capability import Unavailable, capability_named, probe_all
from harness.env import Environment, Foundation
from harness.env.foundation import NEEDED
from harness.env.product import Product
from harness.env.recording import recording
from harness.errors import HarnessError
from harness.interruption import Interruption
from harness.leaks import LeakAudit
from harness.run_stash import LEFT_OVERS, RUN_FOLDER, run_folder_of
from harness.services.estates import clear_left_overs
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
    group.addoption("--agent", metavar="COMMAND", help="the agent under test (default: fleet agent run)")
    group.addoption(
        "--fresh-foundation",
        action="store_true",
        help="share nothing: a Kubernetes API of its own for each test, which takes seconds",
    )
    group.addoption("--toothless", action="store_true", help="faults do nothing, which their proofs find out")
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
    Interruption.register(config)
    config.addinivalue_line("markers", "needs(*capabilities): skip, with a typed reason, where one is not there")
    config.addinivalue_line("markers", "own_cluster: a Kubernetes API of the test's own, which it may kill")
    config.addinivalue_line("markers", "rule(*numbers): the rules of docs/contract.md that a test shows to hold")
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        config.stash[LEFT_OVERS] = list(clear_left_overs(os.environ))
        runs = runs_folder(config.getoption("--runs"), environ=os.environ, cwd=Path.cwd())
        try:
            folder = RunFolder.create(runs, started=datetime.now(UTC))
        except HarnessError as e:
            raise pytest.UsageError(str(e)) from e
    else:
        folder = RunFolder.open(Path(worker_input[_WORKER_RUN_FOLDER]))
    config.stash[RUN_FOLDER] = folder
    config.add_cleanup(folder.close)
    config.add_cleanup(folder.discard_if_empty)
    if not config.option.allure_report_dir:
        config.option.allure_report_dir = str(folder.path / "allure-results")


def pytest_report_header(config: pytest.Config) -> list[str]:
    """What earlier runs left that were killed, if they did."""
    return config.stash.get(LEFT_OVERS, [])


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
def agent_command(pytestconfig: pytest.Config) -> Sequence[str]:
    """Likewise, of the agent."""
    command = pytestconfig.getoption("--agent")
    return shlex.split(command) if command else (sys.executable, "-m", "fleet", "agent", "run")


@pytest.fixture
def product(operator_command: Sequence[str], agent_command: Sequence[str]) -> Product:
    return Product(operator_command, agent_command)


def _foundation_scope(fixture_name: str, config: pytest.Config) -> Literal["function", "session"]:  # noqa: ARG001 - pytest's
    """Shared by all tests of a worker, unless a run wants to share nothing."""
    return "function" if config.getoption("--fresh-foundation") else "session"


# This one and `env` name their loop: in somebody else's folder no settings file does.
@pytest_asyncio.fixture(scope=_foundation_scope, loop_scope="session")
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


@pytest_asyncio.fixture(loop_scope="session")
async def env(
    request: pytest.FixtureRequest,
    foundation: Foundation,
    case_folder: Path,
    scenario_name: tuple[str, str, str | None],
    product: Product,
) -> AsyncIterator[Environment]:
    """A world of this test's own; afterwards only its folder is left, and the audit says so.

    A test marked with `own_cluster` gets a Kubernetes API of its own in it.
    """
    audit = LeakAudit(foundation.warden, admin=foundation.admin, toxiproxy=foundation.toxiproxy)
    await audit.before()
    with recording(case_folder, *scenario_name) as recorder:
        async with AsyncExitStack() as stack:
            if request.node.get_closest_marker("own_cluster"):
                foundation = await foundation.own_cluster(recorder)
                stack.push_async_callback(foundation.close)
            env = await Environment.open(foundation, case_folder, recorder, product)
            stack.push_async_callback(env.close)
            env.toothless = request.config.getoption("--toothless")
            yield env
    await audit.check()
