"""Result files: what a run leaves behind, from which its report can be made again without running anything.

    RUN/<case folder>/result.json + history.jsonl + logs  ->  load_run  ->  [CaseResult]

Nothing here trusts a folder: a broken or missing file becomes a case of its own that names the file.
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

import msgspec

from harness.history import History, HistoryError
from harness.history.records import VerdictOutcome
from reports.case import CaseResult
from reports.errors import ReportError, ResultError

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"
HISTORY_FILE = "history.jsonl"
SIZE_BYTES_MAX = 4 << 20


class CaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The result file of one case. Paths are relative to the case's own folder."""

    format: Literal[1] = 1
    id: str
    title: str
    scenario: str
    case: str
    defect: str | None
    outcome: VerdictOutcome
    headline: str
    facts: tuple[tuple[str, str], ...]
    seconds: float
    history: str = HISTORY_FILE
    artefacts: dict[str, str] = {}
    rerun: str

    def result(self, history: History, folder: str) -> CaseResult:
        """As a reader sees it; `folder` is the case's folder as seen from the run folder."""
        files = {"history": self.history, **self.artefacts}
        return CaseResult(
            id=self.id,
            title=self.title,
            outcome=self.outcome,
            headline=self.headline,
            facts=self.facts,
            history=history,
            artefacts={name: f"{folder}/{path}" for name, path in files.items()},
            rerun=self.rerun,
            scenario=self.scenario,
            case=self.case,
            defect=self.defect,
            seconds=self.seconds,
        )


_decoder = msgspec.json.Decoder(CaseRecord)


def write_atomically(path: Path, data: bytes) -> None:
    """Raises ReportError; a reader sees the old file or the whole new one, never a part."""
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # mkstemp makes files that only we may read; results are for everybody who may read their folder.
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as e:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise ReportError(f"{path}: cannot be written: {e.strerror}; check the folder and the free space") from e


def write_result(folder: Path, record: CaseRecord) -> Path:
    """Writes the result file of a case into its folder."""
    path = folder / RESULT_FILE
    write_atomically(path, msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    return path


def read_result(path: Path) -> CaseRecord:
    """Raises ResultError naming the file."""
    try:
        if path.stat().st_size > SIZE_BYTES_MAX:
            raise ResultError(f"{path}: larger than {SIZE_BYTES_MAX} bytes, which no run writes")
        return _decoder.decode(path.read_bytes())
    except FileNotFoundError as e:
        raise ResultError(f"{path}: missing; the run ended before this case was judged") from e
    except OSError as e:
        raise ResultError(f"{path}: cannot be read: {e.strerror}") from e
    except (msgspec.MsgspecError, ValueError) as e:
        raise ResultError(f"{path}: not a result of this version: {e}") from e


def load_run(folder: Path) -> list[CaseResult]:
    """All cases of a run folder, in the order in which they started. Raises ReportError if there is no such folder."""
    try:
        folders = sorted(f for f in folder.iterdir() if f.is_dir())
    except OSError as e:
        raise ReportError(f"{folder}: not a run folder: {e.strerror}") from e
    cases = [_load_case(f) for f in folders if (f / RESULT_FILE).exists() or (f / HISTORY_FILE).exists()]
    # Times of one format sort as text; what has none comes last, in the order of the folders' names.
    return sorted(cases, key=lambda case: case.meta.started_at if case.meta else "~")


def _load_case(folder: Path) -> CaseResult:
    try:
        record = read_result(folder / RESULT_FILE)
    except ResultError as e:
        return _lost_result(folder, str(e))
    try:
        history = _history_within(folder, record.history)
    except (HistoryError, OSError, ValueError) as e:
        # Without its history a verdict is hearsay: the case counts as not judged.
        lost = f"{e} (its result file says {record.outcome}: {record.headline})"
        return replace(record.result(History(()), folder.name), outcome="infra-error", headline=lost)
    return record.result(history, folder.name)


def _history_within(folder: Path, name: str) -> History:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise HistoryError(f"{path}: outside the case's folder")
    return History.read(path)


def _lost_result(folder: Path, why: str) -> CaseResult:
    artefacts: Mapping[str, str] = {}
    try:
        history = History.read(folder / HISTORY_FILE)
        artefacts = {"history": f"{folder.name}/{HISTORY_FILE}"}
    except HistoryError as e:
        history = History(())
        why = f"{why}; {e}" if (folder / HISTORY_FILE).exists() else why
    found = CaseResult(
        id=folder.name,
        title=folder.name,
        outcome="infra-error",
        headline=why,
        facts=(),
        history=history,
        artefacts=artefacts,
        case=folder.name,
    )
    meta = found.meta
    return replace(found, scenario=meta.scenario, case=meta.case, defect=meta.defect) if meta else found
