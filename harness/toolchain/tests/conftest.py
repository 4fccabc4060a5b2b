"""Small stand-ins: programs that only say their version, a `go` that does as it is told, a module without imports."""

import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.toolchain import GoSource, Step, Tool

VERSION = "1.2.3"

GO_SCRIPT = """#!/bin/sh
if [ "$1" = env ]; then echo go1.99.0; exit; fi
if [ "$1" = list ]; then echo "package example.test/tiny"; exit; fi
while [ "$1" != -o ]; do shift; done
out=$2
{build}
"""
"""Answers as `go env`, `go list` and `go build` do; `build` is shell text that makes $out."""

BUILD_OK = 'printf \'#!/bin/sh\\necho tiny 1.2.3\\n\' > "$out"; chmod 755 "$out"'


@pytest.fixture
def tiny(tmp_path: Path) -> Tool:
    """A program of the test's own, whose module needs only Go's standard library."""
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module example.test/tiny\n\ngo 1.26.0\n")
    (module / "go.sum").write_text("")
    (module / "main.go").write_text(
        'package main\n\nimport "os"\n\nvar version = "unset"\n\n'
        'func main() { os.Stdout.WriteString("tiny " + version) }\n'
    )
    source = GoSource(module, "example.test/tiny", "example.test/tiny", version_symbol="main.version")
    return Tool("tiny", VERSION, (1, 2, 0), "FLEETPROOF_TINY", True, ("--version",), r"tiny (\d+\.\d+\.\d+)", source)


def script(path: Path, text: str) -> Path:
    """An executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def native(path: Path) -> Path:
    """A real binary: a copy of the shell, for the tools that `as_shell` makes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy("/bin/sh", path))


@pytest.fixture
def fake_go(tmp_path: Path) -> Callable[[str], str]:
    """Install a fake `go` that builds by the shell text given; gives a PATH with it and the system's own tools."""

    def install(build: str) -> str:
        go = script(tmp_path / "go-bin" / "go", "")
        go.write_text(GO_SCRIPT.format(build=build))
        return f"{go.parent}:/usr/bin:/bin"

    return install


@dataclass(slots=True)
class Steps:
    """A progress that remembers what it was told."""

    seen: list[Step] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        self.seen.append(step)


@pytest.fixture
def steps() -> Steps:
    return Steps()


ENSURE_TINY = """
import sys
from pathlib import Path
from harness.toolchain import GoSource, Tool, Toolchain
module, cache, path = sys.argv[1:]
source = GoSource(Path(module), "example.test/tiny", "example.test/tiny", version_symbol="main.version")
tool = Tool("tiny", "1.2.3", (1, 2, 0), "FLEETPROOF_TINY", True, ("--version",), r"tiny (\\d+\\.\\d+\\.\\d+)", source)
print(Toolchain(environ={"PATH": path}, cache=Path(cache)).ensure(tool))
"""


def ensure_command(module: Path, cache: Path, path: str) -> list[str]:
    """The command line of another process that ensures `tiny`."""
    return [sys.executable, "-c", ENSURE_TINY, str(module), str(cache), path]


def quoted(path: Path) -> str:
    """For shell text."""
    return shlex.quote(str(path))
