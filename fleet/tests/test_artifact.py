"""Files that must be whole: what is verified, and what a failed publish leaves behind."""

import errno
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet import artifact
from fleet.errors import ArtifactError


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fsync and rename calls, in order; fsync says whether it was of a file or a folder."""
    made: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        folder = Path(f"/proc/self/fd/{descriptor}").is_dir()
        made.append("fsync folder" if folder else "fsync file")
        fsync(descriptor)

    def note_replace(source: Path, target: Path) -> Path:
        made.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    return made


@given(data=st.binary(max_size=64), chunk_bytes=st.integers(min_value=1, max_value=70))
def test_fingerprint(data: bytes, chunk_bytes: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Size and SHA-256 are those of the bytes, however they are cut into reads; a bound one lower refuses them."""
    path = tmp_path_factory.getbasetemp() / "fingerprint"
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(artifact, "_CHUNK_BYTES", chunk_bytes)
        actual = artifact.fingerprint(path, size_bytes_max=len(data))
        assert actual == artifact.Fingerprint(len(data), hashlib.sha256(data).hexdigest())
        if data:
            with pytest.raises(ArtifactError, match=f"larger than the {len(data) - 1} bytes"):
                artifact.fingerprint(path, size_bytes_max=len(data) - 1)


def test_verify(tmp_path: Path) -> None:
    """The right bytes pass, with the digest in either case; a wrong size, digest or path is named."""
    path = tmp_path / "agent"
    path.write_bytes(b"agent")
    sha256 = hashlib.sha256(b"agent").hexdigest()
    artifact.verify(path, size_bytes=5, sha256=sha256.upper())
    with pytest.raises(ArtifactError, match=r"agent: 5 bytes, expected 6"):
        artifact.verify(path, size_bytes=6, sha256=sha256)
    path.write_bytes(b"agenT")
    with pytest.raises(ArtifactError, match=f"agent: SHA-256 is .*, expected {sha256}"):
        artifact.verify(path, size_bytes=5, sha256=sha256)
    for act in (artifact.verify, _fingerprint_as_verify):
        with pytest.raises(ArtifactError, match=r"absent: can't be read: No such file"):
            act(tmp_path / "absent", size_bytes=5, sha256=sha256)


def _fingerprint_as_verify(path: Path, *, size_bytes: int, sha256: str) -> None:
    assert artifact.fingerprint(path, size_bytes_max=size_bytes).sha256 == sha256


def test_publish(tmp_path: Path, calls: list[str]) -> None:
    """The file is durable before its name is, the folder after it; mode and bytes are as asked, the source is gone."""
    source, target = tmp_path / "new", tmp_path / "agent"
    source.write_bytes(b"new")
    target.write_bytes(b"old")
    artifact.publish(source, target, mode=0o755)
    assert calls == ["fsync file", "rename", "fsync folder"]
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o7777 == 0o755
    assert list(tmp_path.iterdir()) == [target]


def test_publish_fails(tmp_path: Path) -> None:
    """A source that is not there is one line with both paths, and the old file stays."""
    target = tmp_path / "agent"
    target.write_bytes(b"old")
    with pytest.raises(ArtifactError, match=r"agent: can't be published from .*absent: No such file"):
        artifact.publish(tmp_path / "absent", target)
    assert target.read_bytes() == b"old"


def test_write_text(tmp_path: Path, calls: list[str]) -> None:
    """Text is replaced whole, in the same order of steps, also over what a killed writer left."""
    target = tmp_path / "journal"
    (tmp_path / ".journal.tmp").write_text("left by a killed writer, and longer")
    artifact.write_text(target, "state: ü\n", mode=0o600)
    assert calls == ["fsync file", "rename", "fsync folder"]
    assert target.read_text(encoding="utf-8") == "state: ü\n"
    assert target.stat().st_mode & 0o7777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_write_text_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the bytes can't be made durable the old text stays, nothing is left over, and the reason is told."""
    target = tmp_path / "journal"
    target.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArtifactError, match=r"journal: .*No space left on device"):
        artifact.write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_write_text_on_a_read_only_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written or removed, the line still says what could not be written."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ArtifactError, match=r"journal: can't be written: Read-only file system"):
        artifact.write_text(tmp_path / "journal", "new")


def test_write_bytes(tmp_path: Path) -> None:
    """Any bytes, of any size, in the same way."""
    target = tmp_path / "agent"
    artifact.write_bytes(target, b"\xff" * (2 << 20), mode=0o755)
    assert target.stat().st_size == 2 << 20
    assert target.stat().st_mode & 0o7777 == 0o755
    assert list(tmp_path.iterdir()) == [target]


def test_write_text_refuses(tmp_path: Path) -> None:
    """More than 1 MiB is refused before anything is written, and a missing folder is named."""
    target = tmp_path / "journal"
    with pytest.raises(ArtifactError, match="1048577 bytes of text, at most 1048576 are allowed"):
        artifact.write_text(target, "x" * ((1 << 20) + 1))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ArtifactError, match=r"journal: can't be written: No such file"):
        artifact.write_text(tmp_path / "absent" / "journal", "x")
