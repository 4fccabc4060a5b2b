"""Stored histories on disk, and where the checks may come from that are asked of them again.

A history is data, maybe somebody else's: it names functions, and only checks of modules that are allowed get called.
"""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.checks.judge import Check, CheckFactory
from harness.checks.recheck import Again, AnyFactory, CannotAskError, Find, judge_again
from harness.errors import HarnessError
from harness.history import History, HistoryError, Meta, VerdictOutcome, worst
from reports.results import HISTORY_FILE

OURS = ("harness.checks", "scenarios")


@dataclass(frozen=True, slots=True)
class Rechecked:
    """One history. No verdicts means that it was never judged; `problem` that it cannot be judged again."""

    path: Path
    meta: Meta | None = None
    verdicts: Sequence[Again] = ()
    problem: str | None = None

    @property
    def judged(self) -> bool:
        return bool(self.verdicts)

    @property
    def same(self) -> bool:
        return all(again.same for again in self.verdicts)

    @property
    def stored(self) -> VerdictOutcome:
        return worst(again.stored.outcome for again in self.verdicts)

    @property
    def again(self) -> VerdictOutcome:
        return worst(again.finding.outcome for again in self.verdicts)


def recheck_folder(folder: Path, find: Find) -> Iterator[Rechecked]:
    """The history of a case, or those of a run, one after the other.

    Raises:
        HarnessError: there is none.
    """
    own = folder / HISTORY_FILE
    paths = [own] if own.is_file() else sorted(folder.glob(f"*/{HISTORY_FILE}"))
    if not paths:
        raise HarnessError(f"{folder}: no {HISTORY_FILE} there, nor in a folder of it; name a run or one of its cases")
    for path in paths:
        try:
            _require_whole(path)
            history = History.read(path)
            yield Rechecked(path, history.meta, judge_again(history, find))
        except CannotAskError as e:
            yield Rechecked(path, problem=f"{path}: {e}")
        except HistoryError as e:
            yield Rechecked(path, problem=str(e) if str(path) in str(e) else f"{path}: {e}")


def _require_whole(path: Path) -> None:
    """What reads a history leaves out a last line without an end; a verdict that is not read would not be missed."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            if file.tell():
                file.seek(-1, 2)
            whole = file.read(1) == b"\n"
    except OSError as e:
        raise HistoryError(f"{path}: cannot be read: {e.strerror}") from e
    if not whole:
        raise HistoryError(f"{path}: its last line is cut: the run was killed, or the file is not all there")


def find_within(allowed: Sequence[str]) -> Find:
    """Checks of these modules, and of modules in them, by `module:name`; nothing else is imported, let alone called."""

    def find(function: str) -> Check | AnyFactory:
        module, _, name = function.partition(":")
        inside = any(module == one or module.startswith(f"{one}.") for one in allowed)
        plain = all(part.isidentifier() and not part.startswith("_") for part in (*module.split("."), name))
        if not inside or not plain:
            raise CannotAskError(f"{function!r} is in none of {', '.join(allowed)}; `--allow MODULE` allows one more")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as e:
            raise CannotAskError(f"{function!r} is not there: {e}") from e
        if not isinstance(found, Check | CheckFactory):
            raise CannotAskError(f"{function!r} is no check")
        return found

    return find
