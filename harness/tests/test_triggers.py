"""Triggers fire at what was recorded, in the same turn, once, and say so in the history."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.errors import ServiceError, WaitTimeout
from harness.history import KvEntry, LinkEnd, Record, Recorder, Recovery, Request, SourceProgress, Trigger
from harness.services.process import ManagedProcess
from harness.services.warden import Warden
from harness.triggers import kv_write, link_ended, log_said, recovery_progress, request_answered


def entry(bucket: str = "desired-state") -> KvEntry:
    return KvEntry(at_s=1, bucket=bucket, key="d.a", operation="put", revision=1, previous=0, value="")


def recovery(seen: int, *, process: str = "operator-1", current: bool = False) -> Recovery:
    progress = SourceProgress(seen=seen, expected=9, current=current)
    return Recovery(at_s=1, process=process, phase="Recovering", sources={"devices": progress})


def patch(subresource: str) -> Request:
    return Request(
        at_s=1,
        requested_s=1,
        user="operator",
        user_agent="fleet",
        verb="patch",
        resource="deployments",
        subresource=subresource,
        name="app",
        code=200,
    )


def told(recorder: Recorder) -> list[tuple[str, int]]:
    return [(record.name, record.ordinal) for record in recorder.records if isinstance(record, Trigger)]


async def test_the_second_write_fires_in_its_own_turn(recorder: Recorder) -> None:
    """Not the first, not one of another bucket; that it fired stands right behind the write."""
    trigger = kv_write(recorder, 2)
    for record in (entry(), entry("device-state"), entry(), entry()):
        recorder.add(record)
    async with asyncio.timeout(0):
        await trigger.fired(5)
    assert told(recorder) == [("kv-write desired-state", 2)]
    assert isinstance(recorder.records[3], Trigger)
    assert not recorder.listeners


@pytest.mark.parametrize(
    ("others", "it"),
    [
        ([recovery(2), recovery(3, process="operator-2")], recovery(3)),
        ([recovery(0)], recovery(2, current=True)),
    ],
    ids=["so many", "all of it"],
)
async def test_progress_fires_when_a_source_has_come_that_far(
    recorder: Recorder, others: list[Record], it: Record
) -> None:
    """Of that operator alone; a source that is complete has come far enough."""
    trigger = recovery_progress(recorder, "operator-1", "devices", 3)
    for other in others:
        recorder.add(other)
    assert not told(recorder)
    recorder.add(it)
    await trigger.fired(5)
    assert told(recorder) == [("recovery devices at 3", 1)]


async def test_a_request_is_told_apart_by_its_subresource(recorder: Recorder) -> None:
    """A patch of a spec is no patch of a status."""
    trigger = request_answered(recorder, 1, "patch", "deployments", "status")
    recorder.add(patch(""))
    assert trigger.seen == 0
    recorder.add(patch("status"))
    await trigger.fired(5)
    assert told(recorder) == [("request patch deployments/status", 1)]


async def test_what_never_comes_is_a_timeout_with_its_count(recorder: Recorder) -> None:
    """And nobody looks on after it."""
    trigger = kv_write(recorder, 2)
    recorder.add(entry())
    with pytest.raises(WaitTimeout, match="1 of 2 were seen"):
        await trigger.fired(0.01)
    recorder.add(entry())
    assert not told(recorder)


async def test_the_end_of_a_link_on_its_servers_side(recorder: Recorder) -> None:
    """Of that link, and at that byte if one is named."""

    def end(link: str = "cable", carried: int = 900, *, by_client: bool = False) -> LinkEnd:
        return LinkEnd(at_s=1, link=link, ordinal=1, carried_bytes=carried, by="client" if by_client else "server")

    any_end, at_byte = link_ended(recorder, "cable"), link_ended(recorder, "cable", carried_bytes=500)
    for record in (end("other"), end(by_client=True), end()):
        recorder.add(record)
    assert (any_end.seen, at_byte.seen) == (1, 0)
    recorder.add(end(carried=500))
    await at_byte.fired(5)
    assert told(recorder) == [("end of cable", 1), ("end of cable", 1)]


@pytest.fixture
async def talker(warden: Warden, recorder: Recorder, tmp_path: Path) -> AsyncIterator[tuple[ManagedProcess, Path]]:
    """A process that logs whatever is appended to a file, and ends at "end"."""
    said = tmp_path / "said"
    said.touch()
    program = (
        "import sys, time\nf = open(sys.argv[1])\nwhile True:\n line = f.readline()\n if line: print(line.strip(), "
        "flush=True)\n else: time.sleep(0.01)\n if line == 'end\\n': sys.exit(3)"
    )
    process = await ManagedProcess.spawn(
        "talker",
        [sys.executable, "-c", program, said],
        env={},
        cwd=tmp_path,
        log_path=tmp_path / "talker.log",
        warden=warden,
        recorder=recorder,
    )
    yield process, said
    await process.kill()


def say(said: Path, line: str) -> None:
    with said.open("a") as file:
        file.write(f"{line}\n")


async def test_a_line_of_a_log_fires_once_it_is_written(
    recorder: Recorder, talker: tuple[ManagedProcess, Path]
) -> None:
    """One that stood there before does not; what it said stands in the history."""
    process, said = talker
    say(said, "ready number 1")
    await process.wait_log("ready", since=0, deadline_s=5)
    waiting = asyncio.create_task(log_said(recorder, process, r"ready number (\d)", 5))
    await asyncio.sleep(0)
    assert not told(recorder)
    say(said, "not yet")
    say(said, "ready number 2")
    assert (await waiting)[1] == "2"
    assert told(recorder) == [("log talker", 1)]
    fired = [record for record in recorder.records if isinstance(record, Trigger)]
    assert fired[0].detail == "ready number 2"


async def test_a_line_that_never_comes(recorder: Recorder, talker: tuple[ManagedProcess, Path]) -> None:
    """The deadline, or the end of the process, says so; nothing fired."""
    process, said = talker
    with pytest.raises(WaitTimeout, match="in the log of talker"):
        await log_said(recorder, process, "ready", 0.05)
    say(said, "end")
    with pytest.raises(ServiceError, match="exited with 3"):
        await log_said(recorder, process, "ready", 5)
    assert not told(recorder)
