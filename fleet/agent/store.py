"""What the agent knows without a broker: of each deployment its last good desired state and its last report.

    web.desired    desired SHA256 <line end> the exact bytes that were taken, or only: deleted SHA256
    web.report     report SHA256 <line end> the exact bytes that were published
    ....bad        a file that could not be used, kept for a person to look at

Every file is, at any instant and after a power cut, the whole old one or the whole new one. The first line tells a bad
sector from a changed score: a score that differs in one bit would replace a container.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from fleet.agent.layout import Layout
from fleet.artifact import sync_folder, write_bytes
from fleet.errors import ArtifactError, FleetError
from fleet.wire import (
    DESIRED_STATE_BYTES_MAX,
    DeploymentName,
    decode_desired_state,
    decode_device_state,
    deployment_name,
)

DEPLOYMENTS_MAX = 1024
_HEAD_BYTES_MAX = 128
_FILE_BYTES_MAX = DESIRED_STATE_BYTES_MAX + _HEAD_BYTES_MAX
# Desired states carry secrets in their env.
_FOLDER_MODE, _FILE_MODE = 0o700, 0o600
_DESIRED, _DELETED, _REPORT = "desired", "deleted", "report"
_BAD = ".bad"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the disk holds of one deployment; the bytes are as they were taken or published, and can be decoded.

    `deleted` is the tombstone: the deletion is confirmed, and its clean-up not yet done.
    """

    desired: bytes | None = None
    deleted: bool = False
    report: bytes | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """`troubles` has one line for each file that could not be used; its deployment is as if it had not been there."""

    kept: Mapping[DeploymentName, Kept]
    troubles: Sequence[str]


class Store:
    """One process uses it at a time (the holder of the device lock), and one call at a time per deployment.

    Every call blocks until the disk has it. Raises ArtifactError, with the old files still there (or, if only the last
    flush failed, the new one), and WireError for bytes that could not be read back.
    """

    def __init__(self, layout: Layout) -> None:
        """Make the folders if they are not there."""
        self._layout = layout
        self._names: set[DeploymentName] = set()
        try:
            _make(layout.deployments)
        except OSError as e:
            raise ArtifactError(f"{layout.deployments}: can't be made: {e.strerror}; check FLEET_ROOT") from e

    def load(self) -> Loaded:
        """Read all of it, once, at the start. What a killed writer left is cleared, what we never wrote set aside."""
        kept: dict[DeploymentName, Kept] = {}
        troubles: list[str] = []
        folder = self._layout.deployments
        try:
            paths = sorted(folder.iterdir())
        except OSError as e:
            raise ArtifactError(f"{folder}: can't be read: {e.strerror}") from e
        for path in paths:
            try:
                if path.name.startswith(".") and path.suffix == ".tmp":
                    path.unlink()
                elif path.suffix != _BAD:
                    name = deployment_name(path.stem)
                    kept[name] = self._read(name, path, kept.get(name, Kept()))
            except OSError as e:
                # It may be readable the next time: a deployment's next word takes its place in any case.
                troubles.append(f"{path}: can't be read: {e.strerror}")
            except FleetError as e:
                troubles.append(f"{path}: {e}{_set_aside(path)}")
        self._names = set(kept)
        # A name of the disk may be no text, and these lines are to be logged.
        return Loaded(MappingProxyType(kept), [line.encode(errors="backslashreplace").decode() for line in troubles])

    def keep_desired(self, name: DeploymentName, data: bytes) -> None:
        decode_desired_state(data)
        self._write(self._layout.desired(name), name, _DESIRED, data)

    def keep_deleted(self, name: DeploymentName) -> None:
        """The tombstone takes the place of the desired state, in one step."""
        self._write(self._layout.desired(name), name, _DELETED, b"")

    def keep_report(self, name: DeploymentName, data: bytes) -> None:
        decode_device_state(data)
        self._write(self._layout.report(name), name, _REPORT, data)

    def forget(self, name: DeploymentName) -> None:
        """Nothing of it stays. The tombstone goes last: until the rest is gone for good, its deletion is known."""
        desired, report = self._layout.desired(name), self._layout.report(name)
        try:
            for path in (_bad(report), _bad(desired), report, desired):
                if path.exists():
                    path.unlink()
                    sync_folder(path.parent)
        except OSError as e:
            raise ArtifactError(f"{desired.with_suffix('')}: can't be forgotten: {e.strerror}") from e
        self._names.discard(name)

    def _read(self, name: DeploymentName, path: Path, kept: Kept) -> Kept:
        kind, body = _unpack(path)
        if path == self._layout.desired(name) and kind == _DELETED:
            return replace(kept, deleted=True)
        if path == self._layout.desired(name) and kind == _DESIRED:
            decode_desired_state(body)
            return replace(kept, desired=body)
        if path == self._layout.report(name) and kind == _REPORT:
            decode_device_state(body)
            return replace(kept, report=body)
        raise ArtifactError("not a file of the agent")

    def _write(self, path: Path, name: DeploymentName, kind: str, body: bytes) -> None:
        if name not in self._names and len(self._names) >= DEPLOYMENTS_MAX:
            raise ArtifactError(f"{path}: {DEPLOYMENTS_MAX} deployments are kept already, no more are taken")
        write_bytes(path, _head(kind, body) + body, mode=_FILE_MODE)
        self._names.add(name)


def _head(kind: str, body: bytes) -> bytes:
    # The sum is of the kind too: a damaged word must not make a deletion of a desired state.
    return f"{kind} {hashlib.sha256(kind.encode() + body).hexdigest()}\n".encode()


def _unpack(path: Path) -> tuple[str, bytes]:
    with path.open("rb") as file:
        data = file.read(_FILE_BYTES_MAX + 1)
    if len(data) > _FILE_BYTES_MAX:
        raise ArtifactError(f"more than {_FILE_BYTES_MAX} bytes")
    body = data.partition(b"\n")[2]
    kind = data.partition(b" ")[0].decode(errors="replace")
    if not data.startswith(_head(kind, body)):
        raise ArtifactError("its bytes are not those that were written")
    return kind, body


def _make(folder: Path) -> None:
    """Make it and what is missing above it, durably."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    sync_folder(folder.parent)


def _bad(path: Path) -> Path:
    return path.with_name(path.name + _BAD)


def _set_aside(path: Path) -> str:
    try:
        path.replace(_bad(path))
    except OSError as e:
        return f"; it can't be set aside: {e.strerror}"
    return f"; set aside as {_bad(path).name}"
