"""Podman's log of events becomes records: all of them, once, whatever became of podman meanwhile."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.history import ContainerEvent, Recorder
from harness.observers.containers import ContainerObserver
from harness.wait import wait_for


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "history.jsonl")
    yield recorder
    recorder.close()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "events.log"


@pytest.fixture
def observer(log: Path, recorder: Recorder) -> ContainerObserver:
    return ContainerObserver("d1", log, recorder)


def line(status: str, *, kind: str = "container", time: str | None = None, **more: object) -> str:
    time = time or datetime.now(UTC).isoformat().replace("+00:00", "Z")
    event = {"ID": "4f1c", "Image": "payload:v1", "Name": "web", "Status": status, "Time": time, "Type": kind, **more}
    return json.dumps(event, separators=(",", ":")) + "\n"


def write(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def told(recorder: Recorder) -> list[tuple[str, int | None]]:
    return [(event.event, event.exit_code) for event in recorder.history().of(ContainerEvent)]


async def test_each_event_is_recorded_once(log: Path, observer: ContainerObserver, recorder: Recorder) -> None:
    """In order, with what its container was made with; those of images and of podman itself are not."""
    await observer.drain()
    write(log, '{"Status":"refresh","Time":"2026-11-21T21:58:24.4Z","Type":"system","Attributes":null}\n')
    write(log, line("create", Attributes={"deployment": "app"}) + line("pull", kind="image", Attributes=None))
    await observer.drain()
    await observer.drain()
    write(log, line("died", ContainerExitCode=3, Attributes={}) + line("died", Attributes={}) + line("remove"))
    await observer.drain()
    assert told(recorder) == [("create", None), ("died", 3), ("died", 0), ("remove", None)]
    events = recorder.history().of(ContainerEvent)
    assert {(e.host, e.id, e.name, e.image) for e in events} == {("d1", "4f1c", "web", "payload:v1")}
    assert [e.labels for e in events] == [{"deployment": "app"}] * 4


async def test_time_is_podmans_own(log: Path, observer: ContainerObserver, recorder: Recorder) -> None:
    """Nanoseconds and another zone are understood; `happened_s` is on the history's clock."""
    began = datetime.fromisoformat(recorder.started_at)
    write(log, line("start", time=f"{began:%Y-%m-%dT%H:%M:%S}.123456789+00:00"))
    await observer.drain()
    (event,) = recorder.history().of(ContainerEvent)
    assert event.happened_s == pytest.approx(0.123456 - began.microsecond / 1e6, abs=1e-5)
    assert event.at_s >= 0


async def test_a_line_is_read_when_it_has_ended(log: Path, observer: ContainerObserver, recorder: Recorder) -> None:
    """Half a line is no event yet."""
    whole = line("start")
    write(log, whole[:40])
    await observer.drain()
    assert told(recorder) == []
    write(log, whole[40:])
    await observer.drain()
    assert told(recorder) == [("start", None)]


async def test_a_line_that_lost_its_end_hides_no_other(
    log: Path, observer: ContainerObserver, recorder: Recorder
) -> None:
    """The power went while podman wrote: the next line begins behind what there is of it."""
    write(log, line("start", Attributes={"a": "b"})[:-5] + line("died", ContainerExitCode=1) + line("remove"))
    await observer.drain()
    assert told(recorder) == [("died", 1), ("remove", None)]


async def test_what_is_no_event_is_an_error(log: Path, observer: ContainerObserver) -> None:
    """With the file, the place and the line; silence would be taken for peace."""
    write(log, line("start") + "podman: no space left\n")
    with pytest.raises(ServiceError, match=r"events.log: after byte \d+: not an event of podman: b'podman: no space"):
        await observer.drain()


async def test_it_follows_until_it_is_closed(log: Path, observer: ContainerObserver, recorder: Recorder) -> None:
    """By itself, from before the log is there; what was written before the close is in the history."""
    observer.start()
    write(log, line("create"))
    await wait_for("an event", lambda: told(recorder) or None, deadline_s=10)
    write(log, line("start"))
    await observer.close()
    await observer.close()
    write(log, line("died"))
    assert told(recorder) == [("create", None), ("start", None)]
    assert [task for task in asyncio.all_tasks() if task.get_name() == "containers of d1"] == []
