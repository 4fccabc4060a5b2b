"""Binaries that were built once, kept for every later run, and never trusted unseen.

    FOLDER/toolchain/<name>-<version>-<recipe>/<name>          the binary
    FOLDER/toolchain/<name>-<version>-<recipe>/manifest.json   its size, SHA-256, origin; written last, removed first
    FOLDER/toolchain/<name>-<version>-<recipe>.lock            held while building
    FOLDER/toolchain/<name>-<version>-<recipe>.tmp-*           a build under way, or what a killed one left
    FOLDER/toolchain/<name>-<version>-<recipe>.log             output of the last build that failed

FOLDER is FLEETPROOF_CACHE, else `fleetproof` in the user's cache folder.
"""

import hashlib
import json
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import platformdirs

from fleet import artifact
from fleet.errors import ArtifactError
from harness.errors import MissingPart
from harness.toolchain.catalogue import GoSource, Tool

_BINARY_BYTES_MAX: Final = 1 << 30
_verified: set[tuple[str, int, int, str]] = set()
"""Files whose SHA-256 this process has seen: path, inode, modification time in ns, SHA-256."""


def cache_folder(environ: Mapping[str, str]) -> Path:
    """FLEETPROOF_CACHE if it is set, else the user's cache folder."""
    override = environ.get("FLEETPROOF_CACHE")
    return Path(override).expanduser().absolute() if override else platformdirs.user_cache_path("fleetproof")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was published: `how` is for people."""

    name: str
    version: str
    size_bytes: int
    sha256: str
    how: str


def recipe_digest(tool: Tool, source: GoSource) -> str:
    """A short digest of all that decides the binary: pins, their sums, package, stamp, platform."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((source.folder / name).read_bytes() + b"\0")
    recipe = (tool.version, source.package, source.version_symbol, source.version_prefix)
    digest.update("\0".join((*recipe, platform.system(), platform.machine())).encode())
    return digest.hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One built program's place in the cache. Only the holder of `lock_path` may write."""

    tool: Tool
    folder: Path

    @classmethod
    def of(cls, tool: Tool, source: GoSource, cache: Path) -> "CacheEntry":
        """The entry of `tool` under the cache folder `cache`; nothing is touched."""
        return cls(tool, cache / "toolchain" / f"{tool.name}-{tool.version}-{recipe_digest(tool, source)}")

    @property
    def binary(self) -> Path:
        """Where the program is, once published."""
        return self.folder / self.tool.name

    @property
    def manifest_path(self) -> Path:
        """Where its manifest is."""
        return self.folder / "manifest.json"

    @property
    def lock_path(self) -> Path:
        """The lock of whoever builds."""
        return self._beside("lock")

    @property
    def log_path(self) -> Path:
        """The output of the last build that failed."""
        return self._beside("log")

    def find(self) -> Path | None:
        """The binary, its size compared and its SHA-256 computed once per process; None if nothing was published.

        Raises:
            MissingPart: what is there is half written, truncated or changed.
        """
        if not self.manifest_path.exists():
            if self.binary.exists():
                raise self._damaged(f"{self.binary} has no manifest: its build was cut short")
            return None
        manifest = self._manifest()
        try:
            stat = self.binary.stat()
            seen = (str(self.binary), stat.st_ino, stat.st_mtime_ns, manifest.sha256)
            if seen not in _verified or stat.st_size != manifest.size_bytes:
                artifact.verify(self.binary, size_bytes=manifest.size_bytes, sha256=manifest.sha256)
                _verified.add(seen)
        except OSError as error:
            raise self._damaged(f"{self.binary} can't be read ({error.strerror})") from error
        except ArtifactError as error:
            raise self._damaged(str(error)) from error
        return self.binary

    def scratch(self) -> Path:
        """A fresh folder for a build, on the cache's file system; those of killed builds are removed first."""
        self.clear_scratch()
        return Path(tempfile.mkdtemp(prefix=f"{self.folder.name}.tmp-", dir=self.folder.parent))

    def clear_scratch(self) -> None:
        """Remove every build folder of this entry.

        A dead build may go on writing for a moment: what can't be removed now is left to the next one.
        """
        for left in self.folder.parent.glob(f"{self.folder.name}.tmp-*"):
            shutil.rmtree(left, ignore_errors=True)

    def publish(self, built: Path, how: str) -> Path:
        """Put `built` in place of whatever is there; gives the path of the binary.

        Raises:
            MissingPart: the cache can't be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.manifest_path.unlink(missing_ok=True)
            artifact.sync_folder(self.folder)
            print_ = artifact.fingerprint(built, size_bytes_max=_BINARY_BYTES_MAX)
            artifact.publish(built, self.binary, mode=0o755)
            manifest = Manifest(self.tool.name, self.tool.version, print_.size_bytes, print_.sha256, how)
            artifact.write_text(self.manifest_path, json.dumps(asdict(manifest), indent=2) + "\n")
        except OSError as error:
            raise MissingPart(f"{self.tool.name}: can't write to the cache {self.folder}: {error.strerror}") from error
        except ArtifactError as error:
            raise MissingPart(f"{self.tool.name}: can't write to the cache: {error}") from error
        return self.binary

    def _manifest(self) -> Manifest:
        try:
            return Manifest(**json.loads(self.manifest_path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise self._damaged(f"{self.manifest_path} can't be read as a manifest") from error

    def _beside(self, suffix: str) -> Path:
        return self.folder.with_name(f"{self.folder.name}.{suffix}")

    def _damaged(self, what: str) -> MissingPart:
        return MissingPart(f"{what}; mend it with: fleetproof toolchain --rebuild {self.tool.name}")
