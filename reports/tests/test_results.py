"""Result files: written whole, read back, and never trusted."""

from pathlib import Path

import msgspec
import pytest

from harness.history import History
from reports.errors import ReportError, ResultError
from reports.html import render_run
from reports.results import CaseRecord, load_run, read_result, write_result
from reports.tests.synthetic import meta, story

RECORD = CaseRecord(
    id="s[c]",
    title="S, case c",
    scenario="s",
    case="c",
    defect=None,
    outcome="pass",
    headline="held",
    facts=(("devices", "3"),),
    seconds=1.5,
    artefacts={"operator log": "operator.log"},
    rerun="fleetproof run s",
)


def leave(run: Path, name: str, history: History | None, record: CaseRecord | None = RECORD) -> Path:
    """A case folder as a run leaves it behind."""
    folder = run / name
    folder.mkdir()
    if history is not None:
        lines = (msgspec.json.encode(r) for r in history.records)
        (folder / "history.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    if record is not None:
        write_result(folder, record)
    return folder


def test_a_result_survives_the_disk(tmp_path: Path) -> None:
    """What is written is what is read, and nothing else stays behind."""
    path = write_result(tmp_path, RECORD)
    assert read_result(path) == RECORD
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_a_run_is_rebuilt_from_files_alone(tmp_path: Path) -> None:
    """Cases come back in the order they started, with links relative to the run folder; other folders are no cases."""
    late = msgspec.structs.replace(meta(), started_at="2026-02-03T09:00:00.000000Z")
    leave(tmp_path, "a", History([late]), msgspec.structs.replace(RECORD, id="late"))
    leave(tmp_path, "b", story(), msgspec.structs.replace(RECORD, id="early"))
    (tmp_path / "allure-results").mkdir()
    (tmp_path / "report.html").write_text("old")
    early, second = load_run(tmp_path)
    assert (early.id, second.id) == ("early", "late")
    assert early.artefacts == {"history": "b/history.jsonl", "operator log": "b/operator.log"}
    assert early.history.records == story().records
    assert "held" in render_run([early, second])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a result of this version"),
        (b"{", "not a result of this version"),
        (b'{"format":2}', "not a result of this version"),
        (b"\xff\xfe", "not a result of this version"),
        (b" " * (5 << 20), "larger than"),
    ],
)
def test_a_broken_result_is_a_case_that_names_the_file(tmp_path: Path, content: bytes, told: str) -> None:
    """One broken file costs one case, never the report; the history is still drawn."""
    folder = leave(tmp_path, "broken", story())
    (folder / "result.json").write_bytes(content)
    leave(tmp_path, "good", story())
    by_outcome = {case.outcome: case for case in load_run(tmp_path)}
    assert set(by_outcome) == {"pass", "infra-error"}
    lost = by_outcome["infra-error"]
    assert told in lost.headline
    assert "broken/result.json" in lost.headline
    assert lost.history.records
    assert lost.scenario == "cold-restart-full-kv"
    assert "INFRA ERROR" in render_run([lost])


def test_a_case_that_was_never_judged_is_shown(tmp_path: Path) -> None:
    """A run killed half way leaves histories without results: they are not forgotten."""
    leave(tmp_path, "half", story(), record=None)
    (case,) = load_run(tmp_path)
    assert case.outcome == "infra-error"
    assert "ended before this case was judged" in case.headline


@pytest.mark.parametrize("name", ["history.jsonl", "../elsewhere.jsonl"])
def test_a_pass_without_its_history_is_no_pass(tmp_path: Path, name: str) -> None:
    """A history that is missing, or that lies outside the case's folder, turns the case into an infra-error."""
    (tmp_path / "elsewhere.jsonl").write_bytes(b"")
    leave(tmp_path, "c", None, msgspec.structs.replace(RECORD, history=name))
    (case,) = load_run(tmp_path)
    assert case.outcome == "infra-error"
    assert name in case.headline
    assert "its result file says pass: held" in case.headline


def test_a_broken_history_names_its_line(tmp_path: Path) -> None:
    """The reader is told where to look."""
    folder = leave(tmp_path, "c", story())
    with (folder / "history.jsonl").open("ab") as file:
        file.write(b'{"type":"op"\n')
    (case,) = load_run(tmp_path)
    assert case.outcome == "infra-error"
    assert "history.jsonl:" in case.headline


def test_errors_are_one_clear_line(tmp_path: Path) -> None:
    """A missing file and a missing run folder are errors of ours that name the path."""
    with pytest.raises(ResultError, match=r"result.json: missing"):
        read_result(tmp_path / "result.json")
    with pytest.raises(ReportError, match=r"nowhere: not a run folder"):
        load_run(tmp_path / "nowhere")
    assert load_run(tmp_path) == []
