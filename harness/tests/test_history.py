"""Histories on disk: what was written is read back, and what cannot be read is named."""

from pathlib import Path

import pytest

from harness.history import History, HistoryError, Mark, Recorder, worst


def recorded(path: Path) -> Recorder:
    recorder = Recorder(path / "history.jsonl")
    for name in ("first", "second"):
        recorder.add(Mark(at_s=recorder.now_s, name=name))
    return recorder


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    """The file and the recorder tell the same."""
    recorder = recorded(tmp_path)
    recorder.close()
    assert History.read(recorder.path).records == recorder.history().records


def test_every_record_is_on_disk_at_once(tmp_path: Path) -> None:
    """A harness that is killed loses nothing that it had recorded."""
    recorder = recorded(tmp_path)
    assert len(History.read(recorder.path).records) == 2
    recorder.close()


def test_a_torn_last_line_was_never_recorded(tmp_path: Path) -> None:
    """A kill in the middle of a write costs that record and no other."""
    recorder = recorded(tmp_path)
    recorder.close()
    with recorder.path.open("ab") as file:
        file.write(b'{"type":"mark","at_s":1.0')
    assert [m.name for m in History.read(recorder.path).of(Mark)] == ["first", "second"]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    """A whole line that is no record is an error with its place."""
    recorder = recorded(tmp_path)
    recorder.close()
    with recorder.path.open("ab") as file:
        file.write(b"garbage\n")
    with pytest.raises(HistoryError, match=r"history\.jsonl:3: not a history record"):
        History.read(recorder.path)


def test_a_closed_recorder_takes_nothing_more(tmp_path: Path) -> None:
    """Observers that end late have nobody left to tell."""
    recorder = recorded(tmp_path)
    recorder.close()
    recorder.add(Mark(at_s=0.0, name="late"))
    assert len(recorder.history().records) == 2


def test_the_last_mark_of_a_name_counts(tmp_path: Path) -> None:
    """A mark that is set again moves."""
    recorder = recorded(tmp_path)
    recorder.add(Mark(at_s=9.0, name="first"))
    recorder.close()
    found = recorder.history().mark("first")
    assert found is not None
    assert found[0] == 3


def test_a_failure_outranks_doubt_and_doubt_a_pass() -> None:
    """Nothing judged is no pass either."""
    assert worst(["pass", "inconclusive", "fail", "infra-error"]) == "fail"
    assert worst(["pass", "inconclusive"]) == "inconclusive"
    assert worst(["pass"]) == "pass"
    assert worst([]) == "inconclusive"
