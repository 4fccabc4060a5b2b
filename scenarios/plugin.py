"""What the scenario layer adds to the harness's pytest plugin: cases, defects, result files and the run's report.

A test marked with `cases` runs once per case on the sound product. Each defect of its shape adds one run, on the case
that the defect names, which passes only if the named check turned red on an operator that had come up and converged.
With `--defects-only` there are only those runs. With `--defect NAME` alone there is only that one, and it is as red as
the check left it.

Works in any folder, also without a settings file: `pytest -p scenarios.plugin FOLDER`.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.checks.judge import Judgement
from harness.env import Environment
from harness.history import ContainerEvent, History, Recovery
from harness.run_stash import run_folder_of
from reports.allure import attach_case
from reports.html import write_report
from reports.results import REPORT_FILE, CaseRecord, load_run, write_result
from scenarios.cases import MARKER, NotPassed
from scenarios.catalogue import Shape, shape
from scenarios.defects import defects_of
from scenarios.defects.defect import Defect, Part
from scenarios.running.summary import Summary, summarise
from scenarios.variants import Choice, Marked, Variant, variants_of

# In this order: of two fixtures with one name the later is asked first.
pytest_plugins = ["harness.plugin", "scenarios.fixtures"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fleetproof")
    group.addoption("--shape", action="append", default=[], help="run only scenarios of this shape (repeatable)")
    group.addoption("--case", action="append", default=[], help="run only cases of this id (repeatable)")
    group.addoption(
        "--defect", action="append", default=[], help="run only what this defect must turn red, and let it (repeatable)"
    )
    group.addoption("--long", action="store_true", help="also the cases that take a minute or more")
    group.addoption("--sound-only", action="store_true", help="leave out the runs on defective products")
    group.addoption(
        "--defects-only", action="store_true", help="only the runs on defective products: one passes if it is caught"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARKER}(shape, rows, defects): the shape of a scenario test, and its cases")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker(MARKER)
    if marker is not None:
        marked = _marked(metafunc.definition.path, *marker.args)
        variants = variants_of(marked, _choice(metafunc.config))
        metafunc.parametrize("variant", [pytest.param(v, id=v.id, marks=_marks_of(v.case)) for v in variants])


def _marks_of(case: object) -> list[pytest.MarkDecorator]:
    """A case may itself say what capabilities it `needs`, and that it needs its `own_cluster`."""
    needs, own = getattr(case, "needs", ()), getattr(case, "own_cluster", False)
    return [*([pytest.mark.needs(*needs)] if needs else []), *([pytest.mark.own_cluster] if own else [])]


def _marked(path: Path, of: str | Shape, rows: Mapping[str, object], defects: Sequence[Defect]) -> Marked:
    if isinstance(of, Shape):
        return Marked(of, rows, defects, folder=path.parent)
    try:
        found = shape(of)
    except KeyError as e:
        raise pytest.UsageError(f"{path}: no shape {e} in the catalogue; `cases` takes one of your own, too") from e
    return Marked(found, rows, (*defects_of(found.id), *defects))


def _choice(config: pytest.Config) -> Choice:
    return Choice(
        shapes=config.getoption("--shape"),
        cases=config.getoption("--case"),
        defects=config.getoption("--defect"),
        defects_only=config.getoption("--defects-only"),
        sound_only=config.getoption("--sound-only"),
        long=config.getoption("--long"),
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What was not chosen is deselected, not skipped."""
    narrows = _choice(config).narrows
    unchosen = [item for item in items if (narrows or item.get_closest_marker(MARKER)) and _variant(item) is None]
    if unchosen:
        config.hook.pytest_deselected(items=unchosen)
        items[:] = [item for item in items if item not in unchosen]


def _variant(item: pytest.Item) -> Variant | None:
    callspec = getattr(item, "callspec", None)
    variant = callspec.params.get("variant") if callspec is not None else None
    return variant if isinstance(variant, Variant) else None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Write the case's result down, and turn the verdict of a defective product around."""
    variant = _variant(pyfuncitem)
    if variant is None:
        return (yield)
    env = pyfuncitem.funcargs["env"]
    if not isinstance(env, Environment):
        raise TypeError("a scenario test takes the `env` fixture")
    outcome: object = None
    ended_by: BaseException | None = None
    try:
        outcome = yield
    except Exception as e:  # noqa: BLE001 - raised again below, once the case's result is written
        ended_by = e
    judgement = ended_by.judgement if isinstance(ended_by, NotPassed) else env.judgement
    trouble = None if ended_by is None or isinstance(ended_by, NotPassed) else f"{type(ended_by).__name__}: {ended_by}"
    summary = summarise(env.recorder.history(), judgement, trouble=trouble)
    if variant.defect is not None and variant.expect_red:
        # The case is about the check now: it passes if the check caught the defect, and the report says so.
        try:
            _require_caught(variant.defect, env, judgement, ended_by)
        except AssertionError as missed:
            summary, ended_by = replace(summary, outcome="fail", headline=str(missed)), missed
        else:
            summary, ended_by = replace(summary, outcome="pass", headline=f"Caught: {summary.headline}"), None
    _write_down(pyfuncitem.config, variant, env, summary)
    if ended_by is not None:
        raise ended_by
    return outcome


def _write_down(config: pytest.Config, variant: Variant, env: Environment, summary: Summary) -> None:
    history = env.recorder.history()
    record = CaseRecord(
        id=f"{variant.shape.id}[{variant.id}]",
        title=f"{variant.shape.title}: {variant.case_id}",
        scenario=variant.shape.id,
        case=variant.case_id,
        defect=variant.defect.name if variant.defect else None,
        outcome=summary.outcome,
        headline=summary.headline,
        facts=summary.facts,
        seconds=env.recorder.now_s,
        artefacts={path.stem: path.name for path in sorted(env.folder.glob("*.log"))},
        rerun=variant.rerun,
    )
    write_result(env.folder, record)
    attach_case(record.result(history, env.folder.name), run_folder_of(config))


def _require_caught(defect: Defect, env: Environment, judgement: Judgement, ended_by: BaseException | None) -> None:
    """The named check is red, on a part of the product that had come up: a crash on start is no catch."""
    if not defect.at_start and not _came_up(defect.part, env.recorder.history()):
        raise AssertionError(f"the {defect.part} with {defect.name} never came up: nothing was caught") from ended_by
    red = [finding.check for finding in judgement.of("fail")]
    if no_crash := [f for f in judgement.of("fail") if f.check == "no-crash" != defect.check]:
        raise AssertionError(f"the {defect.part} with {defect.name} crashed: {no_crash[0].reason}") from ended_by
    if defect.check not in red:
        raise AssertionError(f"{defect.name} was not caught by {defect.check}; red were: {red or 'none'}") from ended_by


def _came_up(part: Part, history: History) -> bool:
    if part == "operator":
        return any(recovery.phase == "Converged" for recovery in history.of(Recovery))
    return any(happened.event == "start" for happened in history.of(ContainerEvent))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workerinput"):
        return
    folder = run_folder_of(session.config)
    results = load_run(folder) if folder.is_dir() else []
    if results:
        write_report(folder / REPORT_FILE, results)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    report: Path = run_folder_of(config) / REPORT_FILE
    if report.exists():
        terminalreporter.write_line(f"report: {report}")
