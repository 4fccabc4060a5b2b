"""Where a run leaves what a person or a report reads afterwards.

    .fleetproof/runs/20261121T094237Z-3f9a1c/                        a run; held by a lock while it goes on
    .fleetproof/runs/20261121T094237Z-3f9a1c/.fleetproof-run         the marker: made here, so it may be pruned here
    .fleetproof/runs/20261121T094237Z-3f9a1c/<case>-<digest>/        one case
    .fleetproof/runs/20261121T094237Z-3f9a1c/<case>-<digest>-rerun1/ the same case once more
    .fleetproof/runs/latest -> 20261121T094237Z-3f9a1c

The controller of a parallel run creates the folder; its workers open it by path.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from harness.errors import HarnessError

RUNS_VARIABLE: Final = "FLEETPROOF_RUNS"
MARKER: Final = ".fleetproof-run"
LATEST: Final = "latest"
RUNS_KEPT: Final = 20
_DEFAULT: Final = Path(".fleetproof") / "runs"
_CASE_CHARS_MAX: Final = 60
_DIGEST_CHARS: Final = 10


def runs_folder(option: Path | None, *, environ: Mapping[str, str], cwd: Path) -> Path:
    """Where runs go, absolute: the option, else FLEETPROOF_RUNS, else `.fleetproof/runs` under `cwd`. Pure."""
    return cwd / (option or Path(environ.get(RUNS_VARIABLE) or _DEFAULT)).expanduser()


def run_name(started: datetime, token: str) -> str:
    """Sorts by time, in UTC. Pure."""
    return f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}-{token}"


def case_name(case_id: str, rerun: int = 0) -> str:
    """A folder name for a case: short, plain ASCII, no leading dot; another id or rerun gives another name. Pure.

    The end of a long id is kept: that is where a test's parameters are.
    """
    readable = re.sub(r"[^A-Za-z0-9._]+", "-", case_id).strip("-._")[-_CASE_CHARS_MAX:].lstrip("-._")
    # Also where nothing was replaced: file systems that fold case would take two ids for one.
    digest = hashlib.sha256(case_id.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_CHARS]
    again = f"-rerun{rerun}" if rerun else ""
    return "-".join(part for part in (readable, digest) if part) + again


class RunFolder:
    """One run's folder. Whoever created it holds its lock until `close`, and no other run prunes it before."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, runs: Path, *, started: datetime, keep: int = RUNS_KEPT) -> Self:
        """Make a new one under `runs`, point `latest` at it, and remove all but the newest `keep`.

        Raises:
            HarnessError: it can't be made there.
        """
        path = runs / run_name(started, secrets.token_hex(3))
        with contextlib.ExitStack() as undo:
            try:
                runs.mkdir(parents=True, exist_ok=True)
                path.mkdir()
                undo.callback(shutil.rmtree, path, ignore_errors=True)
                # Locked before the marker is there: nobody ever sees this run marked and not held.
                lock = _open_folder(path)
                undo.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
                (path / MARKER).touch()
                _point_latest(runs, path.name)
            except OSError as error:
                raise HarnessError(
                    f"{path}: can't be made: {error.strerror}; set {RUNS_VARIABLE} to a folder that you may write"
                ) from error
            prune(runs, keep=keep)
            undo.pop_all()
        return cls(path, lock)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The folder that another process created, and holds. Raises HarnessError if it is none."""
        if not (path / MARKER).is_file():
            raise HarnessError(f"{path} is not the folder of a run: it has no {MARKER}")
        return cls(path, None)

    def case(self, case_id: str, rerun: int = 0) -> Path:
        """Make the folder of one case and give its path.

        Raises:
            HarnessError: it is there already (each run of a case is one `rerun`), or can't be made.
        """
        path = self.path / case_name(case_id, rerun)
        try:
            path.mkdir()
        except OSError as error:
            raise HarnessError(f"{path}: the folder of case {case_id} can't be made: {error.strerror}") from error
        return path

    def discard_if_empty(self) -> None:
        """Before `close`, by whoever created it: a run in which nothing ran leaves no folder behind."""
        if self._lock is None or any(not file.is_dir() for file in self.path.rglob("*") if file.name != MARKER):
            return
        runs = self.path.parent
        shutil.rmtree(self.path)
        others = sorted(entry.name for entry in runs.iterdir() if _is_ours(entry))
        if others:
            _point_latest(runs, others[-1])
        else:
            (runs / LATEST).unlink(missing_ok=True)

    def close(self) -> None:
        """Give the lock back; the folder stays. Idempotent."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def prune(runs: Path, *, keep: int) -> list[Path]:
    """Remove all but the newest `keep` runs that were made here and are over; gives what was removed."""
    ours = sorted(entry for entry in runs.iterdir() if _is_ours(entry))
    removed = []
    for path in ours[: max(0, len(ours) - keep)]:
        # An old run that can't be removed is no reason to refuse a new one; the next one tries again.
        with contextlib.suppress(OSError):
            if _remove(path):
                removed.append(path)
    return removed


def _is_ours(entry: Path) -> bool:
    try:
        return not entry.is_symlink() and (entry / MARKER).is_file()
    except OSError:
        # A folder that we may not look into is nobody's business here.
        return False


def _open_folder(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _remove(path: Path) -> bool:
    """False if the run goes on. The marker goes last: what is left by a kill half-way is still known as ours."""
    descriptor = _open_folder(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for entry in path.iterdir():
            if entry.name == MARKER:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        (path / MARKER).unlink()
        path.rmdir()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _point_latest(runs: Path, name: str) -> None:
    """Whoever reads `latest` meanwhile gets the old run or the new one."""
    temporary = runs / f".{LATEST}-{name}"
    temporary.symlink_to(name)
    try:
        temporary.replace(runs / LATEST)
    except OSError:
        temporary.unlink()
        raise
