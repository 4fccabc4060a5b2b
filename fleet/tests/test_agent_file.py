"""The agent's file: the same bytes wherever it is made, and all that a device with a bare Python needs."""

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

import fleet
from fleet import agent_file, cli
from fleet.agent_file import Built, build
from fleet.ends import EXIT_BAD_INPUT
from fleet.errors import ArtifactError, FleetError, SettingsError

VERSION = "1.4.2-rc1"
SOURCES = Path(fleet.__file__).parent
LOCK_FILE = SOURCES.parent / "requirements" / "dev.txt"
SIZE_BYTES_EXPECTED_MAX = 2 << 20
# Its arguments: where the package has to come from, and where the file goes.
BUILD = f"""
import sys
from pathlib import Path
import fleet
from fleet.agent_file import build

assert Path(fleet.__file__).parent == Path(sys.argv[1])
print(build({VERSION!r}, Path(sys.argv[2])).sha256)
"""
# Its argument: the file. Imports every module of ours in it, as a device without any installed library would.
IMPORT_ALL = """
import sys, zipfile
from importlib import import_module

sys.path.insert(0, sys.argv[1])
names = [name for name in zipfile.ZipFile(sys.argv[1]).namelist() if name.startswith("fleet/") and name.endswith(".py")]
for name in names:
    import_module(name.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
strangers = [name for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", "") or "")]
print(len(names), strangers)
"""


def python(
    *arguments: str | Path, env: Mapping[str, str], cwd: Path | None = None, umask: int = 0o022
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - its own arguments
        [sys.executable, *arguments],
        env=env,
        cwd=cwd,
        umask=umask,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(VERSION, tmp_path_factory.mktemp("agent") / "fleet-agent")


def test_the_same_bytes_everywhere(built: Built, tmp_path: Path) -> None:
    """From a copy of the sources with other times and modes, in another folder, zone, language and umask."""
    copy = tmp_path / "elsewhere" / "fleet"
    shutil.copytree(SOURCES, copy, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    (copy / "agent" / "left.over.pyc").touch()
    env = {"PYTHONPATH": str(copy.parent), "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7", "HOME": "/nowhere"}
    made = python("-c", BUILD, copy, tmp_path / "other", env=env, cwd=copy.parent, umask=0o077)
    assert (made.stdout.strip(), made.stderr) == (built.sha256, "")
    assert (tmp_path / "other").read_bytes() == built.path.read_bytes()
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o755
    assert build(VERSION, tmp_path / "again").sha256 == built.sha256
    assert build("1.4.3", tmp_path / "next").sha256 != built.sha256


def test_what_is_said_of_it(built: Built) -> None:
    """Size and digest are those of the file, and it is of an expected size."""
    data = built.path.read_bytes()
    assert (built.size_bytes, built.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert len(data) < SIZE_BYTES_EXPECTED_MAX


def test_it_runs_on_a_bare_python(built: Built, tmp_path: Path) -> None:
    """Isolated, without site-packages and environment; and by its own first line."""
    told = python("-I", "-S", built.path, "--version", env={}, cwd=tmp_path)
    assert (told.returncode, told.stdout, told.stderr) == (0, f"fleet-agent, version {VERSION}\n", "")
    unit = python("-I", "-S", built.path, "unit", env={})
    assert unit.stdout == (SOURCES / "agent" / "fleet-agent.service").read_text()
    refused = python("-I", "-S", built.path, "build", "--version", "1", env={})
    assert refused.returncode == EXIT_BAD_INPUT
    itself = subprocess.run(  # noqa: S603 - the file just made
        [built.path, "--version"],
        env={"PATH": f"{Path(sys.executable).parent}:{os.defpath}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert itself.stdout == told.stdout
    assert not list(tmp_path.iterdir())


def test_all_of_it_can_be_imported(built: Built) -> None:
    """No module of ours in it needs what is not in it."""
    told = python("-I", "-S", "-W", "error", "-c", IMPORT_ALL, built.path, env={})
    assert told.stderr == ""
    assert re.fullmatch(r"\d\d \[\]\n", told.stdout)


def test_what_is_in_it(built: Built) -> None:
    """Sources only, of the agent and its libraries, each with its licence; nothing compiled, no test, no harness."""
    with zipfile.ZipFile(built.path) as archive:
        infos = archive.infolist()
    names = [info.filename for info in infos]
    assert names == sorted(set(names))
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {
        "__main__.py",
        "click",
        "fleet",
        "h11",
        "nats",
        "structlog",
    }
    assert {name.rpartition(".")[2] for name in names if ".dist-info" not in name} == {"py", "service"}
    assert not [name for name in names if "tests/" in name or "test_" in name or "harness" in name]
    assert not [name for name in names if name.startswith(("fleet/operator", "fleet/kube", "fleet/crds"))]
    for package in (f"fleetproof-{VERSION}", "click-", "h11-", "nats_py-", "structlog-"):
        assert [n for n in names if n.startswith(package) and "/licenses/LICENSE" in n], package
    assert {(i.compress_type, i.date_time, i.external_attr >> 16) for i in infos} == {
        (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0), 0o100644)
    }


def test_an_old_python_is_told() -> None:
    """One line in words that it understands."""
    old = f"import sys; sys.version_info = (3, 9, 2)\n{agent_file._MAIN.decode()}"
    told = python("-c", old, env={})
    assert told.returncode == 1
    assert told.stderr == f"fleet-agent: needs Python 3.11 or newer, this is 3.9: {sys.executable}\n"


def test_the_pinned_libraries_are_those_of_the_lock_file() -> None:
    """What is tested is what goes to the devices."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK_FILE.read_text(), re.MULTILINE))
    assert {name: locked[name] for name in agent_file.LIBRARIES} == agent_file.LIBRARIES


@pytest.mark.parametrize(
    ("libraries", "line"),
    [
        ({"h11": "0.1"}, r"h11 [0-9.]+ is installed, agents of this release are made with 0.1: `pip install h11==0.1`"),
        ({"no-such": "1"}, r"no-such is not installed: `pip install no-such==1`"),
        ({"msgspec": metadata.version("msgspec")}, r"msgspec: msgspec/\S+\.so is not Python source"),
    ],
)
def test_a_library_that_may_not_be_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, libraries: dict[str, str], line: str
) -> None:
    """Another version, none, or one with compiled parts: nothing is written."""
    monkeypatch.setattr(agent_file, "LIBRARIES", libraries)
    with pytest.raises(FleetError, match=line):
        build("1", tmp_path / "agent")
    assert not list(tmp_path.iterdir())


def test_a_library_that_was_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit in the installed package is found by what was recorded when it was installed."""
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: b"edited" if path.name == "_abnf.py" else real(path))
    with pytest.raises(ArtifactError, match=r"h11/_abnf.py: not as it was installed: install its package again"):
        build("1", tmp_path / "agent")


@pytest.mark.parametrize("version", ["", "v 1", "1/2", "-1", "1" * 65])
def test_a_version_that_is_none(tmp_path: Path, version: str) -> None:
    """Refused by the contract's rule, before anything is read."""
    with pytest.raises(SettingsError, match="--version: expected a version"):
        build(version, tmp_path / "agent")


def test_an_installation_that_lacks_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named."""

    def gone(path: Path) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(Path, "read_bytes", gone)
    with pytest.raises(ArtifactError, match=r"fleet/\S+: can't be read: No such file or directory; install fleetproof"):
        build("1", tmp_path / "agent")


def test_too_large_or_nowhere_to_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each."""
    with pytest.raises(ArtifactError, match=r"absent/agent: can't be written: No such file or directory"):
        build("1", tmp_path / "absent" / "agent")
    monkeypatch.setattr(agent_file, "SIZE_BYTES_MAX", 1000)
    with pytest.raises(ArtifactError, match=r"agent: \d+ bytes, at most 1000 are allowed for an agent"):
        build("1", tmp_path / "agent")


def test_the_command(built: Built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For people and for machines; without --output it goes into this folder, under the name that devices have."""
    runner = CliRunner()
    arguments = ["agent", "build", "--version", VERSION, "--output", str(tmp_path / "a")]
    told = json.loads(runner.invoke(cli.main, [*arguments, "--json"]).stdout)
    size = {"sha256": built.sha256, "size_bytes": built.size_bytes}
    assert told == {"path": str(tmp_path / "a"), "version": VERSION} | size
    monkeypatch.chdir(tmp_path)
    said = runner.invoke(cli.main, ["agent", "build", "--version", VERSION]).stdout
    name = f"fleet-agent-v{VERSION}"
    assert said == f"{name}: version {VERSION}, {built.size_bytes} bytes, SHA-256 {built.sha256}\n"
    bad = runner.invoke(cli.main, ["agent", "build", "--version", "a b", "--output", str(tmp_path / "b")])
    assert bad.exit_code == EXIT_BAD_INPUT
    assert bad.stderr.startswith("fleet: --version: expected a version")
