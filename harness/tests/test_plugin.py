"""The pytest plugin as a test session sees it: typed skips, and skips that were required not to be."""

import os
import subprocess
import sys
from pathlib import Path

NEEDY = """
import pytest

@pytest.mark.needs("libvirt")
def test_needy():
    pass
"""


def session(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, on a machine that has no program at all on its PATH."""
    (tmp_path / "test_needy.py").write_text(NEEDY)
    return subprocess.run(  # noqa: S603 - fixed arguments, no shell
        [sys.executable, "-m", "pytest", "-p", "harness.plugin", "-rs", "-q", "--runs", tmp_path / "runs", *options],
        cwd=tmp_path,
        env={**os.environ, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_missing_capability_is_a_typed_skip(tmp_path: Path) -> None:
    """The skip says of which kind it is, what is missing and how to get it."""
    ended = session(tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "[missing-program] libvirt: " in ended.stdout
    assert "to enable: apt-get install libvirt-daemon-system" in ended.stdout
    assert "1 skipped" in ended.stdout


def test_a_required_capability_fails_instead(tmp_path: Path) -> None:
    """By name or with all the others; one that was not asked for still skips."""
    for required in ("all", "libvirt", "kvm,libvirt"):
        ended = session(tmp_path, f"--require={required}")
        assert ended.returncode == 1, ended.stdout
        assert "[missing-program] libvirt: " in ended.stdout
    assert session(tmp_path, "--require=kvm").returncode == 0


def test_a_capability_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """A typing mistake in a marker must not skip for ever."""
    (tmp_path / "test_wrong.py").write_text(NEEDY.replace("libvirt", "libvert"))
    ended = session(tmp_path)
    assert ended.returncode == 1
    assert "no capability named 'libvert'" in ended.stdout


def test_a_required_capability_has_to_exist(tmp_path: Path) -> None:
    """A typing mistake on the command line must not let a skip pass."""
    ended = session(tmp_path, "--require=libvert")
    assert ended.returncode == 4
    assert "--require: no capability named 'libvert'" in ended.stderr


def test_a_runs_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """Bad input, not an internal error."""
    (tmp_path / "file").touch()
    ended = session(tmp_path, "--runs", str(tmp_path / "file"))
    assert ended.returncode == 4
    assert "can't be made" in ended.stderr
    assert "INTERNALERROR" not in ended.stdout + ended.stderr
