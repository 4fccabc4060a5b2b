"""Build one program from its pinned Go module.

go.mod fixes every version and go.sum every byte; a `tool` line names the program, so there is no Go of our own. The
result is static (CGO_ENABLED=0) and independent of the folder it was built in (-trimpath).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.errors import MissingPart
from harness.toolchain import command
from harness.toolchain.catalogue import GoSource, Tool
from harness.toolchain.go import Go
from harness.toolchain.progress import Progress, Step

_DOWNLOAD_S: Final = 1800.0
_COMPILE_S: Final = 3600.0
_BUILD_FLAGS: Final = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-v")
_LEFT_TO_US: Final = frozenset({"GOFLAGS", "GOOS", "GOARCH", "GOWORK", "GO111MODULE", "GOEXPERIMENT", "GOAMD64"})
"""Variables of the user's own Go work that would change what is built here."""


def build(
    tool: Tool, source: GoSource, go: Go, *, scratch: Path, environ: Mapping[str, str], progress: Progress
) -> Path:
    """Build `tool` inside `scratch` and give the path of the binary; `scratch` also takes Go's temporary files.

    Raises:
        MissingPart: it could not be built; `scratch`/build.log has all that Go said.
    """
    work = _Work(tool, source, scratch, _environ(go, scratch, environ), progress)
    packages = work.run(
        [str(go.path), "list", "-mod=readonly", "-deps", "-f", "package {{.ImportPath}}", source.package],
        phase="download modules",
        counted=re.compile(r"go: downloading "),
        of="",
        deadline_s=_DOWNLOAD_S,
    )
    total = sum(line.startswith("package ") for line in packages)
    binary = scratch / tool.name
    work.run(
        [str(go.path), "build", *_BUILD_FLAGS, f"-ldflags={_ldflags(tool, source)}", "-o", str(binary), source.package],
        phase="compile",
        counted=re.compile(r"[\w.-]+(/[\w.-]+)*$"),
        of=f" of up to {total} packages",
        deadline_s=_COMPILE_S,
    )
    return binary


def _environ(go: Go, scratch: Path, environ: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in environ.items() if name not in _LEFT_TO_US}
    temporary = scratch / "go-tmp"
    temporary.mkdir()
    fixed = {"GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0", "GOTMPDIR": str(temporary)}
    return {**kept, **go.variables, **fixed, "GOFLAGS": "-mod=readonly"}


def _ldflags(tool: Tool, source: GoSource) -> str:
    stamp = f" -X {source.version_symbol}={source.version_prefix}{tool.version}" if source.version_symbol else ""
    return f"-s -w{stamp}"


@dataclass(frozen=True, slots=True)
class _Work:
    """What the phases of one build share."""

    tool: Tool
    source: GoSource
    scratch: Path
    environ: Mapping[str, str]
    progress: Progress

    def run(self, argv: list[str], *, phase: str, counted: re.Pattern[str], of: str, deadline_s: float) -> list[str]:
        """Run one phase and give its lines; those that `counted` matches are its progress."""
        lines: list[str] = []
        count = 0

        def take(line: str) -> None:
            nonlocal count
            lines.append(line)
            count += counted.match(line) is not None

        def tick(elapsed_s: float) -> None:
            self.progress(Step(self.tool.name, phase, f"{count}{of}" if count else "", elapsed_s))

        try:
            command.run(
                argv,
                cwd=self.source.folder,
                environ=self.environ,
                deadline_s=deadline_s,
                on_line=take,
                on_tick=tick,
            )
        except command.CommandFailed as error:
            (self.scratch / "build.log").write_text("\n".join([*argv, "", *error.tail, ""]))
            said = [line for line in error.tail if line and not counted.match(line) and not line.startswith("#")]
            why = said[-1].strip() if said else error.reason
            raise MissingPart(f"{self.tool.name} {self.tool.version}: {phase} failed: {why}") from error
        return lines
