"""Makes the agent's file: one executable, pure Python, the same bytes from the same sources wherever it is made.

It is a ZIP archive that Python runs, after a line that finds a Python. What is in it: the agent's part of this package,
the few libraries it needs with their licences, and the metadata of a package with the agent's own version.

    names sorted, times and modes fixed, not compressed (compressors differ), libraries at the pinned versions only
"""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from types import MappingProxyType

import fleet
from fleet import rules
from fleet.artifact import write_bytes
from fleet.errors import ArtifactError, SettingsError, WireError

LIBRARIES: Mapping[str, str] = MappingProxyType(
    {"click": "8.5.1", "h11": "0.16.0", "nats-py": "2.16.0", "structlog": "26.1.0"}
)
"""With other versions it would be another file, and another one than was tested. A test compares with the lock file."""

SIZE_BYTES_MAX = 8 << 20
_SHEBANG = b"#!/usr/bin/env python3\n"
_TIME = (1980, 1, 1, 0, 0, 0)
_FILE, _EXECUTABLE = 0o100644, 0o755
_UNIX = 3
# Of the agent's file nothing else is read as data.
_SUFFIXES = {".py", ".service"}
_NOT_NEEDED = {".pyc", ".pyi", ".typed"}
# The `fleet` command needs the whole installation, and so does what follows a bucket, as the operator does.
_NOT_OF_THE_AGENT = {
    *("__main__.py", "agent_file.py", "cli.py"),
    *("bus/deliveries.py", "bus/replica.py", "bus/session.py", "bus/tap.py", "bus/tap_parser.py"),
}
# In words that an old Python reads too: its own message would be a syntax error in a file nobody knows.
_MAIN = b"""\
import sys

if sys.version_info < (3, 11):
    sys.exit("fleet-agent: needs Python 3.11 or newer, this is %d.%d: %s" % (sys.version_info[:2] + (sys.executable,)))

from fleet.agent.cli import main

main(prog_name="fleet-agent")
"""


@dataclass(frozen=True, slots=True)
class Built:
    path: Path
    version: str
    sha256: str
    size_bytes: int


def build(version: str, output: Path) -> Built:
    """Write it to `output`, whose folder must exist; a file that is there is replaced whole.

    Raises:
        fleet.errors.SettingsError: no version, or an installed library is not the one that is pinned.
        fleet.errors.ArtifactError: something is not as it may be in the file, or it can't be written.
    """
    try:
        rules.VERSION.check(version)
    except WireError as e:
        raise SettingsError(f"--version: {e}") from e
    try:
        data = _SHEBANG + _archive(dict(_contents(version)))
    except OSError as e:
        raise ArtifactError(f"{e.filename}: can't be read: {e.strerror}; install fleetproof again") from e
    if len(data) > SIZE_BYTES_MAX:
        raise ArtifactError(f"{output}: {len(data)} bytes, at most {SIZE_BYTES_MAX} are allowed for an agent")
    write_bytes(output, data, mode=_EXECUTABLE)
    return Built(output, version, hashlib.sha256(data).hexdigest(), len(data))


def _archive(contents: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(contents):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = _UNIX
            info.external_attr = _FILE << 16
            archive.writestr(info, contents[name])
    return buffer.getvalue()


def _contents(version: str) -> Iterator[tuple[str, bytes]]:
    """Every file by its name in the archive."""
    yield "__main__.py", _MAIN
    yield from _own()
    yield from _own_metadata(version)
    for name, pinned in LIBRARIES.items():
        yield from _library(name, pinned)


def _own() -> Iterator[tuple[str, bytes]]:
    root = Path(fleet.__file__).parent
    for path in [*root.glob("*"), *root.glob("bus/**/*"), *root.glob("agent/**/*")]:
        inner = path.relative_to(root)
        if path.suffix in _SUFFIXES and "tests" not in inner.parts and inner.as_posix() not in _NOT_OF_THE_AGENT:
            yield f"fleet/{inner.as_posix()}", path.read_bytes()


def _own_metadata(version: str) -> Iterator[tuple[str, bytes]]:
    folder = f"fleetproof-{version}.dist-info"
    yield f"{folder}/METADATA", f"Metadata-Version: 2.1\nName: fleetproof\nVersion: {version}\n".encode()
    for file in metadata.files("fleetproof") or []:
        if _is_licence(file):
            yield f"{folder}/licenses/{file.name}", _installed(file)


def _library(name: str, pinned: str) -> Iterator[tuple[str, bytes]]:
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise SettingsError(f"{name} is not installed: `pip install {name}=={pinned}`") from None
    if distribution.version != pinned:
        raise SettingsError(
            f"{name} {distribution.version} is installed, agents of this release are made with {pinned}: "
            f"`pip install {name}=={pinned}`"
        )
    for file in distribution.files or []:
        if file.parts[0].endswith(".dist-info"):
            if file.name == "METADATA" or _is_licence(file):
                yield file.as_posix(), _installed(file)
        elif file.suffix == ".py":
            yield file.as_posix(), _installed(file)
        elif file.suffix not in _NOT_NEEDED and file.parts[0] != "..":
            raise ArtifactError(f"{name}: {file} is not Python source: no agent file can be made with it")


def _is_licence(file: PurePosixPath) -> bool:
    return file.parts[0].endswith(".dist-info") and file.parts[1] == "licenses"


def _installed(file: metadata.PackagePath) -> bytes:
    data = Path(file.locate()).read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    if file.hash is None or file.hash.value != digest:
        raise ArtifactError(f"{file.locate()}: not as it was installed: install its package again")
    return data
