"""An environment on real services: it leaves nothing, it marks and judges, and it knows when all is quiet."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.wire import Bucket
from harness.checks.judge import Finding, check, failed, passed
from harness.devices.tests.broker import desired_by, pair_of
from harness.env import Environment, Foundation
from harness.env.product import Product
from harness.env.recording import HISTORY, recording
from harness.errors import ServiceError
from harness.history import History, KvEntry, Mark, Meta, Recorder, StreamState, Verdict
from harness.leaks import LeakAudit
from harness.observers.buckets import BucketObserver
from harness.services.gate import Gate
from harness.services.toxiproxy import Toxiproxy
from harness.wait import ticks

COMMAND = (sys.executable, "-c", "raise SystemExit(0)")


@pytest.fixture
async def audit(foundation: Foundation) -> AsyncIterator[LeakAudit]:
    """Whatever the test did, nothing of it is left."""
    audit = LeakAudit(foundation.warden, admin=foundation.admin, toxiproxy=foundation.toxiproxy)
    await audit.before()
    yield audit
    await audit.check()


@pytest.fixture
async def world(audit: LeakAudit, foundation: Foundation, tmp_path: Path) -> AsyncIterator[Environment]:
    """An open environment, apart from the plugin's own fixture."""
    with recording(tmp_path / "case", "shape", "case", None) as recorder:
        env = await Environment.open(foundation, tmp_path / "case", recorder, Product(COMMAND))
        yield env
        await env.close()
    await audit.check()


async def store(env: Environment, device: str) -> None:
    """A write of desired-state, as an operator makes it, into a bucket that is made on the way."""
    js = env.witnesses.buckets.client.jetstream()
    if await env.witnesses.buckets.stream_state(Bucket.DESIRED_STATE) is None:
        await js.add_stream(
            name="KV_desired-state",
            subjects=["$KV.desired-state.>"],
            max_msgs_per_subject=1,
            republish={"src": "$KV.desired-state.>", "dest": "fleet.desired.>"},
        )
    await js.publish(f"$KV.desired-state.{pair_of(device).device}.app", desired_by().encode())


async def test_open_and_close_leave_only_the_folder(world: Environment) -> None:
    """Closed twice, with the operator it ran, it leaves its history and logs: no kubeconfig, no process, no port."""
    operator = await world.start_operator()
    await operator.process.wait_exit(10)
    assert (world.folder / "operator.kubeconfig").stat().st_mode & 0o777 == 0o600
    await world.close()
    await world.close()
    assert sorted(path.name for path in world.folder.iterdir()) == [HISTORY, "operator-1.log"]


async def test_what_cleaning_up_does_is_not_recorded(world: Environment) -> None:
    """The kill of a living operator at the end is nobody's signal in the history."""
    await world.start_operator()
    await world.close()
    assert "signalled" not in (world.folder / HISTORY).read_text()


STEPS = {
    "namespace": ("harness.services.kube_client.KubeAdmin", "create_namespace"),
    "grant": ("harness.services.kube_client.KubeAdmin", "grant"),
    "gate": (f"{Gate.__module__}.Gate", "start"),
    "proxy": (f"{Toxiproxy.__module__}.Toxiproxy", "create"),
    "bucket witness": (f"{BucketObserver.__module__}.BucketObserver", "start"),
    "resource witness": ("harness.observers.resources.ResourceObserver", "start"),
    "audit witness": ("harness.services.audit.AuditTail", "start"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.usefixtures("audit")
async def test_open_that_fails_half_way_leaves_nothing(
    foundation: Foundation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Wherever it ends, what was started before is ended again (the audit looks)."""

    def fails(*_: object, **__: object) -> None:
        raise ServiceError(f"no {step}")

    owner, name = STEPS[step]
    monkeypatch.setattr(f"{owner}.{name}", fails)
    with (
        recording(tmp_path / "case", "shape", "case", None) as recorder,
        pytest.raises(ServiceError, match=f"no {step}"),
    ):
        await Environment.open(foundation, tmp_path / "case", recorder, Product(COMMAND))


@pytest.mark.usefixtures("audit")
async def test_open_that_is_cancelled_leaves_nothing(foundation: Foundation, tmp_path: Path) -> None:
    """Ctrl-C in the middle is no reason to leave something."""
    with recording(tmp_path / "case", "shape", "case", None) as recorder:
        opening = asyncio.create_task(Environment.open(foundation, tmp_path / "case", recorder, Product(COMMAND)))
        for _ in range(40):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def test_a_mark_stands_behind_what_was_before_it(world: Environment) -> None:
    """Writes and the streams' counters of before stand before the mark; each mark has counters of its own."""
    await store(world, "a")
    await world.mark("first", "detail")
    await store(world, "b")
    await world.mark("second")
    kinds = [type(r) for r in world.recorder.records if isinstance(r, KvEntry | Mark)]
    assert kinds == [KvEntry, Mark, KvEntry, Mark]
    history = world.recorder.history()
    first = history.mark("first")
    assert first is not None
    assert first[1].detail == "detail"
    states = list(history.numbered(StreamState))
    assert [state.messages for line, state in states if line < first[0]][-1] == 1
    assert states[-1][1].messages == 2


async def test_judge_writes_down_what_it_found(world: Environment) -> None:
    """Each finding is a verdict line, on disk, and the judgement stays with the environment."""

    @check
    def good(_: History) -> Finding:
        return passed("good", "fine", [1])

    @check
    def bad(history: History) -> Finding:
        return failed("bad", f"{len(history.of(Meta))} meta")

    judgement = await world.judge(good, bad)
    assert judgement.outcome == "fail"
    assert world.judgement is judgement
    verdicts = History.read(world.folder / HISTORY).of(Verdict)
    assert [(v.check, v.outcome, v.reason, v.evidence) for v in verdicts] == [
        ("good", "pass", "fine", (1,)),
        ("bad", "fail", "1 meta", ()),
    ]


async def test_quiet_is_waited_for(world: Environment) -> None:
    """It takes the whole quiet time from the last write on, and no longer than the deadline."""
    began_s = time.monotonic()
    await world.wait_quiet(0.3, deadline_s=5)
    assert 0.3 <= time.monotonic() - began_s < 2

    enough = asyncio.Event()

    async def writes_on() -> None:
        # Told to end, not cancelled: a wait_for inside the NATS client can swallow a cancellation on Python 3.11.
        async for _ in ticks(0.05):
            if enough.is_set():
                return
            await store(world, "d")

    async with asyncio.TaskGroup() as group:
        group.create_task(writes_on())
        began_s = time.monotonic()
        await world.wait_quiet(0.4, deadline_s=1)
        took_s = time.monotonic() - began_s
        enough.set()
    assert 1 <= took_s < 3


async def test_each_operator_has_a_name_and_log_of_its_own(world: Environment) -> None:
    """Lives are told apart in the history."""
    names = [(await world.start_operator()).process.name for _ in range(2)]
    assert names == ["operator-1", "operator-2"]
    assert all((world.folder / f"{name}.log").exists() for name in names)


def test_a_recording_begins_with_its_meta(tmp_path: Path) -> None:
    """Shape, case, defect and versions come first; a failure in it leaves a closed, readable history."""
    seen: list[Recorder] = []

    def fails() -> None:
        with recording(tmp_path / "run" / "case", "s", "c", "d") as recorder:
            seen.append(recorder)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    meta = History.read(tmp_path / "run" / "case" / HISTORY).meta
    assert (meta.run_id, meta.scenario, meta.case, meta.defect) == ("run", "s", "c", "d")
    assert {"python", "fleetproof", "nats-server"} <= meta.versions.keys()
    seen[0].add(Mark(at_s=0, name="late"))
    assert len(seen[0].records) == 1
