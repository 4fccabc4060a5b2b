"""Artefact folders: names that are safe and unique, and pruning that touches only what this module made."""

import fcntl
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.artefacts import LATEST, MARKER, RunFolder, case_name, prune, run_name, runs_folder
from harness.errors import HarnessError

START = datetime(2026, 11, 21, 9, 42, 37, tzinfo=UTC)


def finished(runs: Path, count: int, *, keep: int = 100) -> list[Path]:
    """Runs that are over, the oldest first."""
    made = []
    for minute in range(count):
        with RunFolder.create(runs, started=START + timedelta(minutes=minute), keep=keep) as run:
            made.append(run.path)
    return made


def test_runs_folder_is_option_then_variable_then_default(tmp_path: Path) -> None:
    """Each source yields to the one before it; a relative one is under the current directory."""
    environ = {"FLEETPROOF_RUNS": "/elsewhere"}
    assert runs_folder(Path("mine"), environ=environ, cwd=tmp_path) == tmp_path / "mine"
    assert runs_folder(None, environ=environ, cwd=tmp_path) == Path("/elsewhere")
    assert runs_folder(None, environ={"FLEETPROOF_RUNS": ""}, cwd=tmp_path) == tmp_path / ".fleetproof/runs"


def test_run_names_are_utc_and_sort_by_time() -> None:
    """Local time does not show, and a later run sorts after an earlier one."""
    local = START.astimezone(timezone(timedelta(hours=5)))
    assert run_name(local, "abc123") == "20261121T094237Z-abc123"
    assert run_name(START, "ffffff") < run_name(START + timedelta(seconds=1), "000000")


@given(st.text(), st.integers(min_value=0, max_value=999))
def test_any_case_id_makes_a_safe_short_name(case_id: str, rerun: int) -> None:
    """Plain ASCII without separators or leading dot, bounded, whatever the id is."""
    name = case_name(case_id, rerun)
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)
    assert len(name) <= 90


@given(st.lists(st.text(), unique=True, min_size=2, max_size=20))
def test_different_ids_have_different_names(ids: list[str]) -> None:
    """No two ids share a folder, not even on a file system that folds case."""
    names = {case_name(case_id, rerun).lower() for case_id in ids for rerun in (0, 1)}
    assert len(names) == 2 * len(ids)


def test_case_name_is_stable_and_keeps_the_telling_end() -> None:
    """The same id gives the same name in every process; a long one keeps its parameters."""
    assert case_name("cold-restart-full-kv") == "cold-restart-full-kv-ec2dd0b452"
    long = "scenarios/test_restart.py::" + "x" * 80 + "::test_cold_restart[200-20]"
    assert re.fullmatch(r"x+-test_cold_restart-200-20-[0-9a-f]{10}-rerun2", case_name(long, 2))
    assert case_name("x-" + "y" * 59).startswith("yyy")


def test_run_has_folders_for_cases_and_reruns(tmp_path: Path) -> None:
    """One folder per case and rerun; a second one for the same is an error."""
    with RunFolder.create(tmp_path / "deep" / "runs", started=START) as run:
        first, again = run.case("case[1]"), run.case("case[1]", rerun=1)
        assert first.is_dir()
        assert again.is_dir()
        assert first != again
        with pytest.raises(HarnessError, match=r"the folder of case case\[1\] can't be made: File exists"):
            run.case("case[1]")


def test_latest_points_at_the_newest(tmp_path: Path) -> None:
    """`latest` is a relative link that moves with each run, and nothing else is left beside the runs."""
    made = finished(tmp_path, 2)
    assert (tmp_path / LATEST).resolve() == made[1]
    assert not (tmp_path / LATEST).readlink().is_absolute()
    assert sorted(path.name for path in tmp_path.iterdir()) == [*(path.name for path in made), LATEST]


def test_latest_that_is_a_folder_is_an_error_and_nothing_stays(tmp_path: Path) -> None:
    """Somebody's own folder of that name is not touched; the run is not made by halves."""
    (tmp_path / LATEST / "theirs").mkdir(parents=True)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(HarnessError, match=r"can't be made: .* set FLEETPROOF_RUNS to"):
        RunFolder.create(tmp_path, started=START)
    assert [path.name for path in tmp_path.iterdir()] == [LATEST]
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


def test_only_the_newest_runs_are_kept(tmp_path: Path) -> None:
    """With the n-th + 1 run the oldest goes, with all that is in it, and what it links to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    runs = tmp_path / "runs"
    oldest = finished(runs, 1)[0]
    (oldest / "case").mkdir()
    (oldest / "case" / "log").write_text("x")
    (oldest / "link").symlink_to(outside)
    made = [oldest, *finished(runs, 4, keep=3)[1:]]
    assert sorted(path for path in runs.iterdir() if path.name != LATEST)[-3:] == made[-3:]
    assert not oldest.exists()
    assert outside.is_dir()


def test_pruning_leaves_strangers_alone(tmp_path: Path) -> None:
    """A folder without our marker, a file and a link to a run stay, however old their names."""
    kept = finished(tmp_path, 1)[0]
    (tmp_path / "00000000T000000Z-aaaaaa").mkdir()
    (tmp_path / "00000000T000000Z-file").touch()
    (tmp_path / "00000000T000000Z-link").symlink_to(kept.name)
    assert prune(tmp_path, keep=1) == []
    assert prune(tmp_path, keep=0) == [kept]
    assert len([path for path in tmp_path.iterdir() if path.name.startswith("0000")]) == 3


def test_run_that_goes_on_is_not_pruned(tmp_path: Path) -> None:
    """An old run that another process still holds stays until that process is gone."""
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from harness.artefacts import RunFolder\n"
        "run = RunFolder.create(Path(sys.argv[1]), started=datetime(2020, 1, 1, tzinfo=UTC))\n"
        "print(run.path, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(  # noqa: S603 - fixed argv, no shell
        [sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        path = Path(other.stdout.readline().strip())
        assert prune(tmp_path, keep=0) == []
        assert (path / MARKER).exists()
        other.kill()
    assert prune(tmp_path, keep=0) == [path]
    assert not path.exists()


def test_removal_that_stops_half_way_is_taken_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be removed keeps its marker, costs the new run nothing, and goes with a later one."""
    old = finished(tmp_path, 1)[0]
    (old / "case").mkdir()

    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("harness.artefacts.shutil.rmtree", refuse)
        RunFolder.create(tmp_path, started=START + timedelta(hours=1), keep=1).close()
        assert (old / MARKER).exists()
    assert prune(tmp_path, keep=1) == [old]


def test_worker_opens_the_controllers_run(tmp_path: Path) -> None:
    """A worker makes case folders in the run it was told of, without holding it; another folder is refused."""
    with RunFolder.create(tmp_path, started=START) as run, RunFolder.open(run.path) as worker:
        assert worker.case("a").parent == run.path
        worker.close()
        assert prune(tmp_path, keep=0) == []
    with pytest.raises(HarnessError, match=r"is not the folder of a run: it has no \.fleetproof-run"):
        RunFolder.open(tmp_path)


def test_closed_run_is_free(tmp_path: Path) -> None:
    """`close` gives the lock back, twice if one likes."""
    run = RunFolder.create(tmp_path, started=START)
    run.close()
    run.close()
    with (tmp_path / LATEST / MARKER).open() as marker:
        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert prune(tmp_path, keep=0) == [run.path]


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file where the runs should go is one clear line."""
    (tmp_path / "file").touch()
    with pytest.raises(HarnessError, match=r"file/.*: can't be made: .*; set FLEETPROOF_RUNS"):
        RunFolder.create(tmp_path / "file", started=START)


def test_a_run_in_which_nothing_ran_leaves_nothing(tmp_path: Path) -> None:
    """Its folder goes, with empty ones in it, and `latest` is the run before, or nobody; one that has a file stays."""
    with RunFolder.create(tmp_path, started=START) as first:
        first.discard_if_empty()
        assert list(tmp_path.iterdir()) == []
    with RunFolder.create(tmp_path, started=START) as second:
        (second.case("a") / "history.jsonl").touch()
        second.discard_if_empty()
    with RunFolder.create(tmp_path, started=START + timedelta(minutes=1)) as third:
        third.case("a")
        third.discard_if_empty()
    assert {path.name for path in tmp_path.iterdir()} == {second.path.name, LATEST}
    assert (tmp_path / LATEST).resolve() == second.path


def test_only_its_maker_discards_a_run(tmp_path: Path) -> None:
    """A worker that opened it leaves it alone."""
    with RunFolder.create(tmp_path, started=START) as run:
        RunFolder.open(run.path).discard_if_empty()
        assert run.path.is_dir()
