"""A file that other programs run must be the whole file or not there at all.

Used by the agent for its own versions and by the harness for the binaries it provides. Everything here survives a
power cut: bytes are fsynced before a name points at them, and the folder is fsynced after the name changed.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fleet.errors import ArtifactError

_CHUNK_BYTES = 1 << 20
_TEXT_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a file's bytes are: their number and their SHA-256 in lower-case hex."""

    size_bytes: int
    sha256: str


def fingerprint(path: Path, *, size_bytes_max: int) -> Fingerprint:
    """Read `path` once and say what it holds, never reading past `size_bytes_max`.

    Raises:
        fleet.errors.ArtifactError: the file can't be read, or is larger than the bound.
    """
    digest = hashlib.sha256()
    size_bytes = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(min(_CHUNK_BYTES, size_bytes_max - size_bytes + 1)):
                size_bytes += len(chunk)
                if size_bytes > size_bytes_max:
                    raise ArtifactError(f"{path}: larger than the {size_bytes_max} bytes allowed for it")
                digest.update(chunk)
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read: {error.strerror}") from error
    return Fingerprint(size_bytes, digest.hexdigest())


def verify(path: Path, *, size_bytes: int, sha256: str) -> None:
    """Return if `path` has exactly these bytes. The size is compared first, so a truncated file costs no hashing.

    Raises:
        fleet.errors.ArtifactError: the file is missing, or its size or SHA-256 differs.
    """
    try:
        actual_bytes = path.stat().st_size
    except OSError as error:
        raise ArtifactError(f"{path}: can't be read: {error.strerror}") from error
    if actual_bytes != size_bytes:
        raise ArtifactError(f"{path}: {actual_bytes} bytes, expected {size_bytes}")
    actual = fingerprint(path, size_bytes_max=size_bytes)
    if actual.sha256 != sha256.lower():
        raise ArtifactError(f"{path}: SHA-256 is {actual.sha256}, expected {sha256.lower()}")


def publish(source: Path, target: Path, *, mode: int = 0o644) -> None:
    """Move `source` to `target` so that `target` is, at any instant, the old file or the whole new one.

    Both must be on one file system. `source` is gone afterwards; the folder of `target` must exist.

    Raises:
        fleet.errors.ArtifactError: a step failed; `target` is then still what it was, or already the new file.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY)
        try:
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        source.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise ArtifactError(f"{target}: can't be published from {source}: {error.strerror}") from error


def write_text(target: Path, text: str, *, mode: int = 0o644) -> None:
    """`write_bytes` of a small text (UTF-8, at most 1 MiB)."""
    data = text.encode()
    if len(data) > _TEXT_BYTES_MAX:
        raise ArtifactError(f"{target}: {len(data)} bytes of text, at most {_TEXT_BYTES_MAX} are allowed")
    write_bytes(target, data, mode=mode)


def write_bytes(target: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file whole, as `publish` does.

    One writer per target: the temporary name is fixed, so that a killed writer leaves at most one file behind, which
    the next one overwrites.

    Raises:
        fleet.errors.ArtifactError: a step failed.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        temporary.write_bytes(data)
        publish(temporary, target, mode=mode)
    except OSError as error:
        _discard(temporary)
        raise ArtifactError(f"{target}: can't be written: {error.strerror}") from error
    except ArtifactError:
        _discard(temporary)
        raise


def _discard(temporary: Path) -> None:
    # Where nothing can be removed either (a file system gone read-only), the first error is the one to tell.
    with suppress(OSError):
        temporary.unlink()


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
