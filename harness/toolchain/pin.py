"""Maintenance: write each module folder's go.mod and go.sum afresh from the catalogue.

Run `python -m harness.toolchain.pin` after a version changed in the catalogue; it needs Go on PATH and the network.
Nothing else writes these files.
"""

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from harness.toolchain.catalogue import CATALOGUE, GoSource
from harness.toolchain.go import GO_MINIMUM, go_on_path

_GO_S: Final = 600.0
_MAJOR: Final = re.compile(r"^v\d+\.")


def main() -> None:
    """Pin every module of the catalogue."""
    go = go_on_path(os.environ)
    if go is None:
        raise SystemExit("go: not on PATH, or older than the builds need")
    modules: dict[Path, list[tuple[GoSource, str]]] = {}
    for tool in CATALOGUE:
        if isinstance(tool.source, GoSource):
            modules.setdefault(tool.source.folder, []).append((tool.source, tool.version))
    for folder, programs in modules.items():
        source, version = programs[0]
        upstream = _upstream_go_mod(go.path, source.module, version)
        text = _go_mod(folder.name, source.module, f"v{version}", [s.package for s, _ in programs], upstream)
        (folder / "go.mod").write_text(text)
        (folder / "go.sum").unlink(missing_ok=True)
        _go(go.path, ["mod", "tidy"], folder)
        print(f"{folder.name}: {source.module} v{version}")  # noqa: T201 - a maintenance command says what it did


def _go_mod(name: str, module: str, version: str, packages: list[str], upstream: str) -> str:
    """A go.mod that needs only `module`.

    Parts that upstream keeps in ./staging are published as v0.MINOR.PATCH; the replace lines that a consumer of the
    module does not inherit name them.
    """
    go_version = ".".join(str(part) for part in GO_MINIMUM)
    staged = re.findall(r"^\t(\S+) => \./staging", upstream, re.MULTILINE)
    staged_version = _MAJOR.sub("v0.", version)
    lines = [f"module fleetproof.dev/toolchain/{name}", "", f"go {go_version}", ""]
    lines += ["tool (", *(f"\t{package}" for package in packages), ")", ""]
    lines += [f"require {module} {version}", ""]
    if staged:
        lines += ["replace (", *(f"\t{part} => {part} {staged_version}" for part in staged), ")", ""]
    return "\n".join(lines)


def _upstream_go_mod(go: Path, module: str, version: str) -> str:
    with tempfile.TemporaryDirectory() as nowhere:
        answer = json.loads(_go(go, ["mod", "download", "-json", f"{module}@v{version}"], Path(nowhere)))
    return Path(answer["GoMod"]).read_text()


def _go(go: Path, arguments: list[str], cwd: Path) -> str:
    return subprocess.run(  # noqa: S603 - fixed argv, no shell
        [go, *arguments],
        cwd=cwd,
        env={**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "GOFLAGS": ""},
        stdout=subprocess.PIPE,
        timeout=_GO_S,
        check=True,
        text=True,
    ).stdout


if __name__ == "__main__":
    main()
