"""What the cache accepts, and how it says that something is damaged."""

from collections.abc import Callable
from pathlib import Path

import filelock
import pytest

from harness.errors import MissingPart
from harness.toolchain import GoSource, Tool, Toolchain, provision
from harness.toolchain.cache import CacheEntry, cache_folder
from harness.toolchain.tests.conftest import BUILD_OK, Steps, script

MEND = "fleetproof toolchain --rebuild tiny"


def entry_of(tool: Tool, cache: Path) -> CacheEntry:
    assert isinstance(tool.source, GoSource)
    return CacheEntry.of(tool, tool.source, cache)


@pytest.fixture
def entry(tiny: Tool, tmp_path: Path) -> CacheEntry:
    """A published entry, seen once by this process."""
    entry = entry_of(tiny, tmp_path / "cache")
    assert entry.find() is None
    entry.publish(script(tmp_path / "built", "echo tiny 1.2.3"), "by hand")
    assert entry.find() == entry.binary
    return entry


def truncate(entry: CacheEntry) -> None:
    entry.binary.write_bytes(entry.binary.read_bytes()[:-1])


def flip(entry: CacheEntry) -> None:
    entry.binary.write_bytes(entry.binary.read_bytes().replace(b"tiny", b"tint"))


def lose_manifest(entry: CacheEntry) -> None:
    entry.manifest_path.unlink()


def lose_binary(entry: CacheEntry) -> None:
    entry.binary.unlink()


def garble_manifest(entry: CacheEntry) -> None:
    entry.manifest_path.write_text('{"name": "tiny"')


def foreign_manifest(entry: CacheEntry) -> None:
    entry.manifest_path.write_text('{"name": "tiny"}')


@pytest.mark.parametrize(
    "damage", [truncate, flip, lose_manifest, lose_binary, garble_manifest, foreign_manifest], ids=lambda d: d.__name__
)
def test_damage_is_named_and_rebuild_mends_it(
    entry: CacheEntry, tmp_path: Path, fake_go: Callable[[str], str], damage: Callable[[CacheEntry], None]
) -> None:
    """A damaged entry is never used and never built over in silence: one line names the file and what mends it."""
    damage(entry)
    toolchain = Toolchain(Steps(), {"PATH": fake_go(BUILD_OK)}, tmp_path / "cache")
    for attempt in (toolchain.locate, toolchain.ensure):
        with pytest.raises(MissingPart) as caught:
            attempt(entry.tool)
        assert str(entry.folder) in str(caught.value)
        assert str(caught.value).endswith(MEND)
        assert "\n" not in str(caught.value)
    assert toolchain.rebuild(entry.tool) == entry.binary
    assert toolchain.ensure(entry.tool) == entry.binary


def test_damage_seen_while_another_process_publishes(
    entry: CacheEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage counts only under the lock: while another process holds it, locate waits, a while."""
    monkeypatch.setattr(provision, "_RECHECK_S", 0.1)
    lose_manifest(entry)
    steps = Steps()
    toolchain = Toolchain(steps, {"PATH": ""}, tmp_path / "cache")
    with filelock.FileLock(entry.lock_path), pytest.raises(MissingPart, match="another process has held"):
        toolchain.locate(entry.tool)


def test_pins_decide_the_entry(tiny: Tool, tmp_path: Path) -> None:
    """Another go.sum is another entry, so a changed pin never meets an old binary."""
    assert isinstance(tiny.source, GoSource)
    before = entry_of(tiny, tmp_path).folder
    assert before == entry_of(tiny, tmp_path).folder
    (tiny.source.folder / "go.sum").write_text("example.test/x v1.0.0 h1:x\n")
    assert entry_of(tiny, tmp_path).folder != before


def test_cache_folder(tmp_path: Path) -> None:
    """FLEETPROOF_CACHE decides; else it is the user's cache folder."""
    assert cache_folder({"FLEETPROOF_CACHE": str(tmp_path)}) == tmp_path
    assert cache_folder({"FLEETPROOF_CACHE": ""}).name == "fleetproof"


def test_cache_that_cannot_be_written(tiny: Tool, tmp_path: Path) -> None:
    """A cache folder that can't be made is one clear line, with the variable that chooses another."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingPart, match=r"can't write to the cache .* set FLEETPROOF_CACHE"):
        Toolchain(Steps(), {"PATH": ""}, tmp_path / "file" / "cache").ensure(tiny)
