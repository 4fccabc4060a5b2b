"""Bad input to `fleetproof`: one line that says what, where and what to do; exit code 2; nothing is left."""

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.toolchain import ETCD, GoSource, Toolchain
from harness.toolchain.cache import CacheEntry
from scenarios.tests.commands import FLEETPROOF, Ended, Footprint, run

FIRST_PROGRESS = "looking for the real servers"
# Nothing is to be found there; what the harness needs of it comes from its own virtual environment.
NO_PROGRAMS = {"PATH": "/nonexistent", "KUBEBUILDER_ASSETS": None, ETCD.env: None}


def the_line(ended: Ended) -> str:
    """The one line for a person; `demo` has told of its first step before it."""
    assert ended.code == 2, ended.text
    assert [line for line in ended.out if FIRST_PROGRESS not in line] == []
    assert len(ended.err) == 1, ended.text
    assert ended.err[0].startswith("fleetproof: ")
    return ended.err[0]


WRONG_WORDS: dict[str, tuple[Sequence[str], Sequence[str]]] = {
    "shape": (["run", "no-such-shape"], ["no shape 'no-such-shape'", "`fleetproof list`"]),
    "one-shape-of-two": (["run", "1", "99"], ["no shape '99'", "`fleetproof list`"]),
    "defect": (["run", "15", "--defect", "no-such"], ["no defect 'no-such'", "`fleetproof list`"]),
    "defect-of-the-matrix": (["defects", "no-seed", "no-such"], ["no defect 'no-such'", "`fleetproof list`"]),
    "defect-of-another-shape": (["run", "1", "--defect", "plain-buckets"], ["plain-buckets", "missing-buckets"]),
    "case": (["run", "15", "--case", "no-such"], ["no case was run", "`fleetproof list`"]),
    "own-folder": (["run", "all", "--from", "/no/such"], ["--from", "/no/such", "does not exist"]),
    "two-formats": (["list", "--json", "--markdown"], ["--json or --markdown", "`fleetproof list --help`"]),
    "workers": (["run", "15", "-n", "0"], ["--workers", "1<=x<=64"]),
    "nothing-to-run": (["run"], ["Missing argument 'ID...'", "`fleetproof run --help`"]),
    "command": (["prove"], ["No such command 'prove'", "`fleetproof --help`"]),
    "option": (["demo", "--fast"], ["No such option '--fast'", "`fleetproof demo --help`"]),
    "group-option": (["--fast"], ["No such option '--fast'", "`fleetproof --help`"]),
    "program": (["toolchain", "--rebuild", "no-such"], ["no program named 'no-such'", "etcd"]),
    "runs-is-a-file": (["demo", "--runs", sys.executable], ["--runs", sys.executable, "is a file"]),
}


@pytest.mark.parametrize("row", WRONG_WORDS.values(), ids=WRONG_WORDS)
async def test_wrong_words_are_one_line(row: tuple[Sequence[str], Sequence[str]], footprint: Footprint) -> None:
    """A word that does not exist is named, with what there is or where to look."""
    argv, parts = row
    ended = await run([*FLEETPROOF, *argv], footprint)
    line = the_line(ended)
    assert [part for part in parts if part not in line] == [], line
    assert footprint.left() == []
    # Not even of what was looked for and is not there.
    assert not footprint.runs.is_dir() or list(footprint.runs.iterdir()) == []


OWN_SCENARIOS = {
    "broken": ("import no_such_module\n", "test_own.py: ModuleNotFoundError: No module named 'no_such_module'"),
    "unknown-shape": (
        "from scenarios.cases import cases\n@cases('no-such', {'a': 1})\nasync def test_own(env, case): ...\n",
        "no shape 'no-such' in the catalogue; `cases` takes one of your own, too",
    ),
    "empty": ("", "no case was run: nothing matches in "),
}


@pytest.mark.parametrize("row", OWN_SCENARIOS.values(), ids=OWN_SCENARIOS)
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_scenarios_that_cannot_be_read_are_one_line(
    row: tuple[str, str], workers: str, footprint: Footprint, tmp_path: Path
) -> None:
    """Somebody's own file is named with what is wrong in it; it is no Ctrl-C."""
    code, part = row
    (tmp_path / "test_own.py").write_text(code)
    ended = await run([*FLEETPROOF, "run", "--from", str(tmp_path), "all", "-n", workers], footprint)
    assert part in the_line(ended)
    assert footprint.left() == []


COMMANDS: dict[str, Sequence[str]] = {
    "demo": ["demo"],
    "toolchain": ["toolchain"],
    "run": ["run", "15", "--case", "operator-first"],
}
each_command = pytest.mark.parametrize("argv", COMMANDS.values(), ids=COMMANDS)


@each_command
async def test_a_half_downloaded_program_is_named(argv: Sequence[str], footprint: Footprint, tmp_path: Path) -> None:
    """What a variable names is used or refused: the line has the program, the file, the variable, and what to do."""
    etcd = truncated(Toolchain().ensure(ETCD), tmp_path / "etcd")
    for variable, value in ((ETCD.env, str(etcd)), ("KUBEBUILDER_ASSETS", str(tmp_path))):
        ended = await run([*FLEETPROOF, *argv], footprint, changes={ETCD.env: None, variable: value})
        line = the_line(ended)
        assert line.startswith(f"fleetproof: etcd: {variable} names {etcd}, which fails `--version`")
        assert line.endswith(f"correct {variable} or unset it")
    assert footprint.left() == []
    assert not footprint.runs.exists()


def truncated(program: Path, copy: Path) -> Path:
    """The first part of a program, as a broken download leaves it."""
    with program.open("rb") as whole, copy.open("xb") as part:
        part.write(whole.read(1_000_000))
    copy.chmod(0o755)
    return copy


def _cut(entry: CacheEntry) -> Path:
    with entry.binary.open("r+b") as file:
        file.truncate(1_000_000)
    return entry.binary


def _flip(entry: CacheEntry) -> Path:
    with entry.binary.open("r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)
        file.seek(5_000_000)
        file.write(bytes([byte[0] ^ 1]))
    return entry.binary


def _drop_manifest(entry: CacheEntry) -> Path:
    entry.manifest_path.unlink()
    return entry.binary


def _cut_manifest(entry: CacheEntry) -> Path:
    text = entry.manifest_path.read_text()
    entry.manifest_path.write_text(text[: len(text) // 2])
    return entry.manifest_path


def _drop_binary(entry: CacheEntry) -> Path:
    entry.binary.unlink()
    return entry.binary


DAMAGES: dict[str, tuple[str, Callable[[CacheEntry], Path]]] = {
    "truncated": ("demo", _cut),
    "byte-flipped": ("toolchain", _flip),
    "no-manifest": ("run", _drop_manifest),
    "manifest-cut": ("toolchain", _cut_manifest),
    "no-binary": ("toolchain", _drop_binary),
}


@pytest.fixture
def entry(tmp_path: Path) -> CacheEntry:
    """A sound etcd in a cache of this test's own."""
    assert isinstance(ETCD.source, GoSource)
    entry = CacheEntry.of(ETCD, ETCD.source, tmp_path / "cache")
    entry.folder.parent.mkdir(parents=True)
    scratch = entry.scratch()
    entry.publish(Path(shutil.copy(Toolchain().ensure(ETCD), scratch / ETCD.name)), "copied for a test")
    entry.clear_scratch()
    return entry


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_a_damaged_cache_says_how_to_mend_it(
    damage: tuple[str, Callable[[CacheEntry], Path]], entry: CacheEntry, footprint: Footprint, tmp_path: Path
) -> None:
    """The line names the file and the command that mends it; the cache is left as it was found."""
    command, make_damage = damage
    changes = {**NO_PROGRAMS, "FLEETPROOF_CACHE": str(tmp_path / "cache")}
    file = make_damage(entry)
    before = files_of(entry.folder.parent)
    ended = await run([*FLEETPROOF, *COMMANDS[command]], footprint, changes=changes)
    line = the_line(ended)
    assert line.startswith(f"fleetproof: {file}"), line
    assert line.endswith("; mend it with: fleetproof toolchain --rebuild etcd")
    assert files_of(entry.folder.parent) == before
    assert footprint.left() == []
    assert not footprint.runs.exists()


def files_of(folder: Path) -> dict[str, tuple[int, int]]:
    """Path -> size and modification time. The lock of whoever may build is no part of the content."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.mark.parametrize("argv", [COMMANDS["demo"], COMMANDS["run"]], ids=["demo", "run"])
async def test_a_runs_folder_that_cannot_be_made_is_named(argv: Sequence[str], footprint: Footprint) -> None:
    """The line has the path and the variable that moves it; no server was started."""
    blocked = Path("/proc/fleetproof-runs")
    ended = await run([*FLEETPROOF, *argv, "--runs", str(blocked)], footprint)
    line = the_line(ended)
    assert line.startswith(f"fleetproof: {blocked}")
    assert line.endswith("set FLEETPROOF_RUNS to a folder that you may write")
    assert footprint.left() == []


@pytest.mark.needs("netns")
@pytest.mark.parametrize("argv", [COMMANDS["demo"], COMMANDS["run"]], ids=["demo", "run"])
async def test_a_read_only_disk_is_named(argv: Sequence[str], footprint: Footprint, tmp_path: Path) -> None:
    """The folder is there and its disk takes no write: one line, in the system's own words."""
    disk = tmp_path / "disk"
    disk.mkdir()
    # In a mount namespace of its own: the mount ends with the command, however that ends.
    mount = 'mount -t tmpfs -o ro,size=64k none "$0" && exec "$@"'
    ended = await run(
        ["unshare", "--mount", "sh", "-c", mount, str(disk), *FLEETPROOF, *argv, "--runs", str(disk)], footprint
    )
    line = the_line(ended)
    assert line.startswith(f"fleetproof: {disk}")
    assert "Read-only file system" in line
    assert footprint.left() == []
