"""The gate before a real API server, with trouble on: in each way, for the requests of the rule and no others."""

import asyncio
import time
from contextlib import aclosing

import pytest

from harness.errors import ServiceError
from harness.history import Gate as GateRecord
from harness.history import Recorder
from harness.services.gate import ANY, Gate, Rule
from harness.services.gate_ways import (
    Answer,
    CutAfterBytes,
    CutAfterTime,
    Drip,
    Gone,
    HangUp,
    NotHttp,
    Way,
    status_body,
)
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin, KubeApiError, KubeUnreachable

ALL = Rule("all", ANY, "")
LIST = Rule("list", "GET", r"/devices$")
WATCH = Rule("watch", "GET", r"[?&]watch=true")
BUSY = Answer("answered 503", 503, status_body(503, "ServiceUnavailable", "no"))


def told(recorder: Recorder) -> list[tuple[str, int, str, str]]:
    return [(r.rule, r.ordinal, r.event, r.detail) for r in recorder.history().of(GateRecord)]


@pytest.mark.parametrize(
    "case",
    [
        (BUSY, "503 ServiceUnavailable: no"),
        (Answer("answered text", 200, b"<html>", "text/html"), "not JSON"),
        (HangUp(), "no answer"),
        (NotHttp(b"\x00\x01\x02 what\r\n\r\n"), "no answer"),
        (CutAfterBytes(100), "no answer"),
        (Gone(inside_watch=False), "410 Expired: too old resource version"),
    ],
    ids=lambda case: case[0].words.replace(" ", "-"),
)
async def test_a_list_goes_wrong(
    gate: Gate, through: KubeAdmin, pi_namespace: str, recorder: Recorder, case: tuple[Way, str]
) -> None:
    """While the trouble is on each list fails in its way, in the history; afterwards they are as before."""
    way, error = case
    trouble = gate.trouble(LIST, way)
    for _ in range(2):
        with pytest.raises(ServiceError, match=error):
            await through.list_objects("devices", pi_namespace)
    trouble.end()
    trouble.end()
    items, _ = await through.list_objects("devices", pi_namespace)
    assert len(items) == 1
    lines = told(recorder)
    # A client may ask once more by itself where a connection of an earlier request ends.
    assert len(lines) >= 2
    assert lines == [("list", n, "faulted", way.words) for n in range(1, len(lines) + 1)]


async def test_other_requests_pass_and_are_told(
    gate: Gate, through: KubeAdmin, pi_namespace: str, recorder: Recorder
) -> None:
    """What the rule does not select gets through, and stands in the history while the trouble is on."""
    gate.trouble(LIST, BUSY)
    await through.get("devices", pi_namespace, "pi")
    assert told(recorder) == [("spared", 1, "passed", "")]


async def test_nothing_is_told_without_trouble(through: KubeAdmin, pi_namespace: str, recorder: Recorder) -> None:
    """A gate at rest leaves no line for each request."""
    await through.get("devices", pi_namespace, "pi")
    assert told(recorder) == []


async def test_only_the_first(gate: Gate, through: KubeAdmin, pi_namespace: str, recorder: Recorder) -> None:
    """A trouble for so many requests lets the next ones pass."""
    gate.trouble(LIST, BUSY, first=1)
    with pytest.raises(KubeApiError, match="503"):
        await through.list_objects("devices", pi_namespace)
    await through.list_objects("devices", pi_namespace)
    assert [event for _, _, event, _ in told(recorder)] == ["faulted", "passed"]


async def test_the_one_that_began_first_is_met(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """Two troubles for the same request: the earlier one, until it ends."""
    first = gate.trouble(LIST, BUSY)
    gate.trouble(ALL, HangUp())
    with pytest.raises(KubeApiError, match="503"):
        await through.list_objects("devices", pi_namespace)
    first.end()
    with pytest.raises(KubeUnreachable):
        await through.list_objects("devices", pi_namespace)


async def test_a_held_request_meets_the_trouble_of_its_release(
    gate: Gate, through: KubeAdmin, pi_namespace: str
) -> None:
    """Held, then struck, then released: it goes the way that any request of that moment goes."""
    held = gate.hold(LIST, 1)
    listing = asyncio.create_task(through.list_objects("devices", pi_namespace))
    await held.reached(10)
    gate.trouble(LIST, BUSY)
    held.release()
    with pytest.raises(KubeApiError, match="503"):
        await listing


async def test_a_watch_is_cut_after_a_time(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """It begins as always, and breaks."""
    gate.trouble(WATCH, CutAfterTime(0.2))
    async with asyncio.timeout(10), aclosing(through.watch("devices", pi_namespace)) as events:
        assert (await anext(events))[0] == "ADDED"
        with pytest.raises(KubeUnreachable, match="the stream broke"):
            await anext(events)


async def test_a_watch_outlives_a_trouble_that_ended_before_its_time(
    gate: Gate, through: KubeAdmin, pi_namespace: str
) -> None:
    """What was not cut before the end of the trouble is not cut at all."""
    trouble = gate.trouble(WATCH, CutAfterTime(0.2))
    async with asyncio.timeout(10), aclosing(through.watch("devices", pi_namespace)) as events:
        await anext(events)
        trouble.end()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(events)


async def test_an_error_event_in_a_watch(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """The watch is accepted, and its first event says 410."""
    gate.trouble(WATCH, Gone(inside_watch=True))
    async with aclosing(through.watch("devices", pi_namespace)) as events:
        with pytest.raises(KubeApiError, match="410 Expired"):
            await anext(events)


async def test_a_version_that_was_gone_stays_gone(
    gate: Gate, through: KubeAdmin, admin: KubeAdmin, pi_namespace: str
) -> None:
    """After the compaction a version that was refused is refused for ever, a newer one is served."""
    gone = Gone(inside_watch=False)
    gate.trouble(WATCH, gone)
    _, old = await admin.list_objects("devices", pi_namespace)
    async with aclosing(through.watch("devices", pi_namespace, old)) as events:
        with pytest.raises(KubeApiError, match="410 Expired"):
            await anext(events)
    gone.compacting = False
    async with aclosing(through.watch("devices", pi_namespace, old)) as events:
        with pytest.raises(KubeApiError, match="410 Expired"):
            await anext(events)
    newer = await admin.patch("devices", pi_namespace, "pi", {"spec": {"n": time.time_ns() % 1000}})
    metadata = newer["metadata"]
    assert isinstance(metadata, dict)
    async with (
        asyncio.timeout(10),
        aclosing(through.watch("devices", pi_namespace, str(metadata["resourceVersion"]))) as events,
    ):
        await admin.patch("devices", pi_namespace, "pi", {"spec": {"n": 1001}})
        assert (await anext(events))[0] == "MODIFIED"


async def test_a_slow_answer_comes_whole(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """In drops while the trouble is on, and the rest at once when it ends."""
    items, _ = await through.list_objects("devices", pi_namespace)
    trouble = gate.trouble(LIST, Drip(bytes_per_s=100))
    began = time.monotonic()
    listing = asyncio.create_task(through.list_objects("devices", pi_namespace))
    done, _ = await asyncio.wait({listing}, timeout=0.5)
    assert not done
    trouble.end()
    async with asyncio.timeout(5):
        assert (await listing)[0] == items
    assert time.monotonic() - began < 3


async def test_the_end_of_the_gate_waits_for_no_drop(kube: KubeCluster, pi_namespace: str) -> None:
    """Closing ends slow answers at once."""
    gate = await Gate(kube.url, kube.ca_pem).start()
    gate.trouble(LIST, Drip(bytes_per_s=10))
    async with KubeAdmin(gate.url, gate.ca_pem, kube.token("admin")) as client:
        listing = asyncio.create_task(client.list_objects("devices", pi_namespace))
        await asyncio.wait({listing}, timeout=0.3)
        began = time.monotonic()
        await gate.close()
        assert time.monotonic() - began < 1.5
        with pytest.raises(KubeUnreachable):
            await listing


async def test_open_watches_break_when_trouble_begins(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """Those of the rule, as with a server that goes down; others stay."""
    async with asyncio.timeout(10), aclosing(through.watch("devices", pi_namespace)) as events:
        assert (await anext(events))[0] == "ADDED"
        gate.trouble(LIST, BUSY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await anext(events)
    async with asyncio.timeout(10), aclosing(through.watch("devices", pi_namespace)) as events:
        assert (await anext(events))[0] == "ADDED"
        gate.trouble(WATCH, BUSY)
        with pytest.raises(KubeUnreachable, match="the stream broke"):
            await anext(events)
