"""Triggers fire at what was recorded, in the same turn, once, and say so in the history."""

import asyncio

import pytest

from harness.errors import WaitTimeout
from harness.history import KvEntry, Record, Recorder, Recovery, Request, SourceProgress, Trigger
from harness.triggers import kv_write, recovery_progress, request_answered


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
