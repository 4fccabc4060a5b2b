"""What the workers do to a runtime, and what they report."""

import asyncio

import pytest

from fleet.agent import slot_worker
from fleet.agent.model import Slot, spec_of
from fleet.agent.tests.edge import ONE, desired, device, one
from fleet.agent.tests.fake_podman import LIFECYCLE, WEB, service
from fleet.agent.tests.fake_runtime import FakeRuntime
from fleet.wire import (
    deployment_name,
)


@pytest.mark.rule("A22")
async def test_first_start() -> None:
    """Prepared, created, started; Pending is said, then Running with the container's id."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        assert edge.runtime.calls == ["prepare v1", "create v1", "start c001"]
        assert edge.said == [("Pending", 1, None), ("Running", 1, None)]
        assert edge.reports[-1].container_ids == {"one": "c001"}


@pytest.mark.rule("A5")
async def test_roll() -> None:
    """The new one is created while the old one runs; stop, start, remove; Pending in between."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.runs("v2", generation=2)
        assert edge.runtime.calls[3:] == ["prepare v2", "create v2", "stop c001", "start c002", "remove c001"]
        assert edge.said[2:] == [("Pending", 2, None), ("Running", 2, None)]


@pytest.mark.rule("A3")
async def test_settled_tick_costs_one_look() -> None:
    """Any number of ticks: one list each for all slots together, and nothing else."""
    async with device(tick_s=0.01) as edge:
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1"), service("three", "v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "all run")
        before = (len(edge.runtime.calls), len(edge.podman.events), len(edge.said))
        looks, began_s = edge.runtime.looks, asyncio.get_running_loop().time()
        await edge.runtime.until(lambda: edge.runtime.looks >= looks + 30, "30 ticks")
        assert asyncio.get_running_loop().time() - began_s >= 30 * 0.01 * 0.8
        assert (len(edge.runtime.calls), len(edge.podman.events), len(edge.said)) == before


@pytest.mark.rule("A3")
async def test_change_of_generation_alone() -> None:
    """No container is touched; the new owner is said."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.workers.set(WEB, desired(one("v1"), generation=2))
        await edge.runs("v1", generation=2)
        assert edge.runtime.calls == ["prepare v1", "create v1", "start c001"]
        assert edge.said == [("Pending", 1, None), ("Running", 1, None), ("Running", 2, None)]


async def test_new_desired_state_breaks_off_a_pull() -> None:
    """An image that takes for ever is given up for another."""
    async with device() as edge:
        gate = edge.runtime.hold("prepare")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runtime.until(lambda: edge.runtime.calls == ["prepare v1"], "the pull began")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.runtime.until(lambda: edge.runtime.calls[1:] == ["prepare v2"], "the other pull began")
        gate.set()
        await edge.runs("v2", generation=2)
        assert "create v1" not in edge.runtime.calls


async def test_stop_goes_on_when_the_desired_state_changes() -> None:
    """v2 waits for the stop of v1 as v3 comes: the stop goes on, v3 runs, v2 never ran."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        gate = edge.runtime.hold("stop")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.runtime.until(lambda: "stop c001" in edge.runtime.calls, "the stop began")
        assert edge.workers.busy
        edge.workers.set(WEB, desired(one("v3"), generation=3))
        assert edge.said[-1] == ("Pending", 3, None)
        gate.set()
        await edge.runs("v3", generation=3)
        assert ("start", "c002") not in edge.podman.events
        assert edge.runtime.calls.count("stop c001") == 1
        assert not edge.workers.busy


async def test_back_to_the_one_that_was_just_stopped() -> None:
    """v1 -> v2 -> v1 while v1 is being stopped: it is the right one again, and is started."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        gate = edge.runtime.hold("stop")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.runtime.until(lambda: "stop c001" in edge.runtime.calls, "the stop began")
        edge.workers.set(WEB, desired(one("v1"), generation=3))
        gate.set()
        await edge.runs("v1", generation=3)
        assert set(edge.podman.boxes) == {"c001"}


@pytest.mark.rule("A8")
async def test_dropped_service_is_stopped_and_removed() -> None:
    """The other service is not touched."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "both run")
        kept = edge.reports[-1].container_ids["one"]
        edge.workers.set(WEB, desired(one("v1"), generation=2))
        await edge.runs("v1", generation=2)
        assert set(edge.podman.boxes) == {kept}


@pytest.mark.rule("A8")
async def test_deletion() -> None:
    """Everything of the deployment goes, that is told once; what others have stays, and nothing more is reported."""
    async with device() as edge:
        other = spec_of(deployment_name("other"), one("v9"), LIFECYCLE)
        edge.podman.start(edge.podman.create(other))
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "both run")
        said = len(edge.said)
        edge.workers.set(WEB, None)
        await edge.runtime.until(lambda: bool(edge.gone), "it is gone")
        assert edge.gone == [WEB]
        assert [box.spec for box in edge.podman.boxes.values()] == [other]
        assert len(edge.said) == said


async def test_deletion_of_what_nobody_has() -> None:
    """It is gone once a look has shown that nothing is there."""
    async with device() as edge:
        gate = edge.runtime.hold("containers")
        edge.workers.set(WEB, None)
        await asyncio.sleep(0)
        assert edge.gone == []
        gate.set()
        await edge.runtime.until(lambda: bool(edge.gone), "it is gone")


async def test_wanted_again_while_it_is_torn_down() -> None:
    """A deployment of the same name comes while the old one stops: it runs, and nothing was gone."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        gate = edge.runtime.hold("stop")
        edge.workers.set(WEB, None)
        await edge.runtime.until(lambda: "stop c001" in edge.runtime.calls, "the stop began")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        gate.set()
        await edge.runs("v2", generation=2)
        assert edge.gone == []


@pytest.mark.rule("A3")
async def test_second_life_adopts() -> None:
    """The agent starts anew over running containers: no call, no report; leftovers of its deployments go."""
    runtime = FakeRuntime()
    async with device(runtime) as edge:
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        await runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "both run")
        last = edge.reports[-1]
    assert len(runtime.podman.running(ONE)) == 1
    runtime.calls.clear()
    async with device(runtime, last=last) as edge:
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        before = runtime.looks
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        await runtime.until(lambda: runtime.looks > before, "a look")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        two = last.container_ids["two"]
        assert runtime.calls == [f"stop {two}", f"remove {two}"]
        assert [sorted(state.container_ids) for state in edge.reports] == [["one"]]


@pytest.mark.rule("A8")
async def test_second_life_finds_a_dropped_service() -> None:
    """A service was dropped while the agent was dead: its container goes."""
    runtime = FakeRuntime()
    runtime.podman.start(runtime.podman.create(spec_of(WEB, service("two", "v1"), LIFECYCLE)))
    async with device(runtime) as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        assert {"stop c001", "remove c001"} <= set(runtime.calls)


async def test_container_of_a_service() -> None:
    """The one that a person means: the right one, else one that runs, else any."""
    async with device(tick_s=0.01) as edge:
        other = Slot(deployment_name("other"), "one")
        for image in ("v8", "v9"):
            edge.podman.create(spec_of(other.deployment, one(image), LIFECYCLE))
        assert edge.workers.container(other) is None
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "it runs")
        right = edge.workers.container(ONE)
        assert right is not None
        assert right.id == edge.reports[-1].container_ids["one"]
        any_ = edge.workers.container(other)
        assert any_ is not None
        assert any_.id == "c001"
        edge.podman.start("c002")
        await edge.runtime.until(lambda: getattr(edge.workers.container(other), "id", "") == "c002", "the running one")


async def test_wanted_again_in_the_moment_of_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slot has just found that nothing is left, and a desired state comes: the slot lives on."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        run = slot_worker.SlotWorker.run

        async def run_and_hear(self: slot_worker.SlotWorker) -> None:
            await run(self)
            monkeypatch.undo()
            edge.workers.set(WEB, desired(one("v1"), service("two", "v2"), generation=3))

        monkeypatch.setattr(slot_worker.SlotWorker, "run", run_and_hear)
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1"), generation=2))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 2, None)], "both run")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 3, None)], "both run again")
        assert [box.spec.service.image for box in edge.podman.boxes.values()] == ["v1", "v2"]
