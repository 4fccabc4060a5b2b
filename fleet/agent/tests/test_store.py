"""The disk: what is kept is read back byte for byte; what is not what was written is set aside and never acted on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fleet import wire
from fleet.agent import store as module
from fleet.agent.layout import Layout
from fleet.agent.store import Kept, Store
from fleet.errors import ArtifactError, WireError
from fleet.wire import deployment_name

WEB, DB = deployment_name("web"), deployment_name("db")
# As a third-party operator may write it: any spacing is part of the bytes.
DESIRED = (
    b'{ "owner": {"generation": 3, "uid": "u"}, "score": {"lifecycle": {"grace_period_secs": 1, '
    b'"stop_signal": "SIGTERM"}, "services": [{"image": "i.example/web", "name": "web"}]}}'
)
REPORT = (
    b'{"last_event_at":"2026-11-21T09:30:00.000000Z","owner":{"generation":3,"uid":"u"},"phase":"Running",'
    b'"last_error":"\xc3\xbc"}'
)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)


@pytest.fixture
def store(layout: Layout) -> Store:
    return Store(layout)


def names(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.deployments.iterdir())


@pytest.mark.rule("A18")
def test_kept_and_read_back(layout: Layout, store: Store) -> None:
    """Another process finds the exact bytes, each deployment by itself; only root may look: env holds secrets."""
    store.keep_desired(WEB, DESIRED)
    store.keep_report(WEB, REPORT)
    store.keep_deleted(DB)
    loaded = Store(layout).load()
    assert loaded.kept == {WEB: Kept(DESIRED, deleted=False, report=REPORT), DB: Kept(deleted=True)}
    assert not loaded.troubles
    assert layout.state == layout.root / "var/lib/fleet-agent"
    assert layout.device_lock.parent == layout.state
    modes = {path.stat().st_mode & 0o777 for path in [layout.state, layout.deployments]}
    assert modes == {0o700}
    assert {path.stat().st_mode & 0o777 for path in layout.deployments.iterdir()} == {0o600}


def test_a_tombstone_takes_the_place(layout: Layout, store: Store) -> None:
    """A deletion replaces the desired state, a later desired state the deletion; the report stays until forgotten."""
    store.keep_desired(WEB, DESIRED)
    store.keep_report(WEB, REPORT)
    store.keep_deleted(WEB)
    assert store.load().kept == {WEB: Kept(deleted=True, report=REPORT)}
    store.keep_desired(WEB, DESIRED)
    assert store.load().kept == {WEB: Kept(DESIRED, report=REPORT)}
    store.forget(WEB)
    assert store.load().kept == {}
    assert not names(layout)
    store.forget(WEB)


@pytest.mark.rule("A19")
def test_the_tombstone_goes_last(layout: Layout, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left by a kill in between, the deletion is still known."""
    store.keep_deleted(WEB)
    store.keep_report(WEB, REPORT)
    seen: list[list[str]] = []
    monkeypatch.setattr(module, "sync_folder", lambda _: seen.append(names(layout)))
    store.forget(WEB)
    assert seen == [["web.desired"], []]


def spoilt(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return spoil


@pytest.mark.rule("A18")
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoilt(lambda _: b""), "its bytes are not those that were written"),
        (spoilt(lambda data: data[:-1]), "its bytes are not those that were written"),
        (spoilt(lambda data: data.replace(b"web", b"wep")), "its bytes are not those that were written"),
        (spoilt(lambda data: b"deleted" + data[7:]), "its bytes are not those that were written"),
        (spoilt(lambda data: b"\x00" * len(data)), "its bytes are not those that were written"),
        (spoilt(lambda data: data + b" " * (600 << 10)), "more than 524416 bytes"),
        (spoilt(lambda _: module._head("report", REPORT) + REPORT), "not a file of the agent"),
        (spoilt(lambda _: module._head("desired", b"{}") + b"{}"), "owner: missing"),
        (spoilt(lambda _: module._head("later", b"x") + b"x"), "not a file of the agent"),
    ],
)
def test_an_unreadable_file_is_set_aside(layout: Layout, store: Store, spoil: Callable[[Path], None], why: str) -> None:
    """Said once with the reason; the report and the other deployments stay, and its next word is kept as ever."""
    store.keep_desired(WEB, DESIRED)
    store.keep_report(WEB, REPORT)
    store.keep_desired(DB, DESIRED)
    spoil(layout.desired(WEB))
    loaded = Store(layout).load()
    assert loaded.kept == {WEB: Kept(report=REPORT), DB: Kept(DESIRED)}
    (trouble,) = loaded.troubles
    assert trouble == f"{layout.desired(WEB)}: {why}; set aside as web.desired.bad"
    again = Store(layout)
    assert not again.load().troubles
    again.keep_desired(WEB, DESIRED)
    assert again.load().kept[WEB].desired == DESIRED
    assert "web.desired.bad" in names(layout)
    again.forget(WEB)
    assert names(layout) == ["db.desired"]


@pytest.mark.parametrize("name", ["Web.desired", "a.b.desired", ".desired", "web", "web.later"])
def test_a_stranger_is_set_aside(layout: Layout, store: Store, name: str) -> None:
    """A name that no deployment has is told and not read."""
    layout.deployments.joinpath(name).write_bytes(module._head("desired", DESIRED) + DESIRED)
    loaded = store.load()
    assert loaded.kept == {}
    (trouble,) = loaded.troubles
    assert trouble.endswith(f"; set aside as {name}.bad")


def test_a_name_that_is_no_text(layout: Layout, store: Store) -> None:
    """Its line can be logged: the bytes that are no text are escaped."""
    layout.deployments.joinpath("\udcff.report").touch()
    (trouble,) = store.load().troubles
    assert trouble.encode()
    assert "/\\udcff.report: " in trouble
    assert trouble.endswith("; set aside as \\udcff.report.bad")


def test_a_disk_that_does_not_answer(layout: Layout, store: Store) -> None:
    """Trouble of the system is one line, and the file stays where it is: it may be readable the next time."""
    store.keep_desired(DB, DESIRED)
    layout.desired(WEB).mkdir()
    loaded = store.load()
    assert loaded.kept == {DB: Kept(DESIRED)}
    assert loaded.troubles == [f"{layout.desired(WEB)}: can't be read: Is a directory"]
    assert names(layout) == ["db.desired", "web.desired"]


def test_what_can_not_be_set_aside_is_said(layout: Layout, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that takes nothing any more the agent still starts, with what can be read."""
    store.keep_desired(DB, DESIRED)
    layout.desired(WEB).write_bytes(b"?")

    def refuse(*_: object) -> None:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(Path, "replace", refuse)
    loaded = store.load()
    assert loaded.kept == {DB: Kept(DESIRED)}
    (trouble,) = loaded.troubles
    assert trouble.endswith("; it can't be set aside: Read-only file system")


def test_left_overs_of_a_killed_writer_are_cleared(layout: Layout, store: Store) -> None:
    """A temporary file is no news and no trouble."""
    store.keep_desired(WEB, DESIRED)
    layout.deployments.joinpath(".web.desired.tmp").write_bytes(b"half")
    assert store.load().kept == {WEB: Kept(DESIRED)}
    assert names(layout) == ["web.desired"]


def test_what_could_not_be_read_back_is_not_kept(store: Store) -> None:
    """Refused before the old file is touched."""
    store.keep_desired(WEB, DESIRED)
    store.keep_report(WEB, REPORT)
    with pytest.raises(WireError, match="at most 524288 bytes"):
        store.keep_desired(WEB, DESIRED + b" " * wire.DESIRED_STATE_BYTES_MAX)
    with pytest.raises(WireError, match="at most 65536 bytes"):
        store.keep_report(WEB, REPORT + b" " * wire.DEVICE_STATE_BYTES_MAX)
    with pytest.raises(WireError, match="not JSON"):
        store.keep_desired(WEB, b"<html>")
    assert store.load().kept == {WEB: Kept(DESIRED, report=REPORT)}


def test_the_largest_is_kept(store: Store) -> None:
    """What the bucket allows fits."""
    largest = DESIRED + b" " * (wire.DESIRED_STATE_BYTES_MAX - len(DESIRED))
    store.keep_desired(WEB, largest)
    assert store.load().kept[WEB].desired == largest


def test_their_number_is_bounded(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more deployment than the bound is refused with one line; those that are kept can still change."""
    monkeypatch.setattr(module, "DEPLOYMENTS_MAX", 1)
    Store(layout).keep_desired(WEB, DESIRED)
    store = Store(layout)
    assert WEB in store.load().kept
    with pytest.raises(ArtifactError, match=r"db.desired: 1 deployments are kept already, no more are taken"):
        store.keep_desired(DB, DESIRED)
    store.keep_deleted(WEB)
    store.forget(WEB)
    store.keep_desired(DB, DESIRED)


def test_a_root_that_can_not_be_used_is_one_line(tmp_path: Path) -> None:
    """A file in the place of a folder, and a folder that went away."""
    (tmp_path / "var").write_text("")
    with pytest.raises(ArtifactError, match=r"var/lib/fleet-agent/deployments: can't be made: .*; check FLEET_ROOT"):
        Store(Layout(tmp_path))
    layout = Layout(tmp_path / "other")
    store = Store(layout)
    layout.deployments.rmdir()
    with pytest.raises(ArtifactError, match=r"deployments: can't be read: No such file or directory"):
        store.load()
    with pytest.raises(ArtifactError, match=r"web.desired: can't be written: No such file or directory"):
        store.keep_deleted(WEB)
