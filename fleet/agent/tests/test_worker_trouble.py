"""What the workers make of failures, ends and silence."""

import asyncio

import pytest

from fleet.agent import ports
from fleet.agent.model import ContainerState, Reason, spec_of
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble
from fleet.agent.tests.edge import NEVER_S, ONE, Device, desired, device, one
from fleet.agent.tests.fake_podman import LIFECYCLE, WEB, service
from fleet.agent.tests.fake_runtime import DEADLINE_S, FakeRuntime
from fleet.wire import deployment_name


@pytest.mark.rule("A5", "A11")
async def test_bad_image_leaves_the_old_one_and_a_pause_does_not_hold_up_a_better_one() -> None:
    """v2 has no image: Failed with the reason, v1 runs on; v3 is taken at once."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.missing_images.add("v2")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.failed("one: ImageMissing: v2: not known")
        assert [box.listed.state for box in edge.podman.boxes.values()] == [ContainerState.RUNNING]
        assert edge.reports[-1].container_ids == {}
        edge.workers.set(WEB, desired(one("v3"), generation=3))
        await edge.runs("v3", generation=3)


@pytest.mark.rule("A5")
async def test_last_good_that_ends_runs_again_until_its_replacement_can_be_made() -> None:
    """v2 has no image and v1 dies: v1 is started again, under its id; nobody says that it is what is wanted."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.missing_images.add("v2")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.failed("one: ImageMissing: v2: not known")
        said = len(edge.said)
        edge.podman.end("c001", 137)
        await edge.runtime.until(lambda: [c.id for c in edge.podman.running(ONE)] == ["c001"], "v1 runs again")
        assert len(edge.said) == said
        edge.podman.missing_images.clear()
        await edge.runs("v2", generation=2)


@pytest.mark.rule("A5")
async def test_taken_port_leaves_the_old_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port of the replacement is not free: the old one is not stopped."""
    monkeypatch.setattr(ports, "taken", lambda ports: sorted(set(ports) & {(81, "TCP")}))
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1", ports=(80,))))
        await edge.runs("v1")
        edge.workers.set(WEB, desired(one("v2", ports=(80, 81)), generation=2))
        await edge.failed("one: PortTaken: in use on this device: 81/TCP; the old one runs on")
        assert edge.podman.running(ONE)[0].id == "c001"


@pytest.mark.rule("A4")
async def test_ended_container_is_started_again() -> None:
    """The same id, after a pause; Failed with its exit code meanwhile."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.end("c001", 137)
        await edge.failed("one: Exited: it ended with exit code 137")
        await edge.runs("v1")
        assert edge.runtime.calls[3:] == ["start c001"]


@pytest.mark.rule("A4")
async def test_removed_container_is_made_again() -> None:
    """Somebody took it away: another one of the same specification, and its id is told."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.end("c001", 137)
        edge.podman.remove("c001")
        await edge.runs("v1")
        assert edge.reports[-1].container_ids == {"one": "c002"}


@pytest.mark.rule("A9")
async def test_no_slot_waits_for_another() -> None:
    """A stop that takes for ever holds up neither a new version of another service nor another deployment."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "both run")
        stop = edge.runtime.stop
        two = edge.reports[-1].container_ids["two"]

        async def all_but_two(container_id: str) -> None:
            if container_id == two:
                await asyncio.Event().wait()
            await stop(container_id)

        edge.runtime.stop = all_but_two  # type: ignore[method-assign] # one call of a fake
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        edge.workers.set(deployment_name("other"), desired(one("v9")))

        def run() -> set[str]:
            boxes = edge.podman.boxes.values()
            return {box.spec.service.image for box in boxes if box.listed.state is ContainerState.RUNNING}

        await edge.runtime.until(lambda: run() == {"v1", "v2", "v9"}, "the others run")
        assert two in edge.podman.boxes


async def test_end_of_one_of_two_is_one_report() -> None:
    """Nothing is said between a look and what every service makes of it."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1"), service("two", "v1")))
        await edge.runtime.until(lambda: edge.said[-1:] == [("Running", 1, None)], "both run")
        said = len(edge.said)
        edge.podman.end(edge.reports[-1].container_ids["two"], 1)
        await edge.failed("two: Exited")
        assert len(edge.said) == said + 1


@pytest.mark.rule("A11")
async def test_pause_of_a_failed_stop_does_not_hold_up_a_new_desired_state() -> None:
    """The old one cannot be stopped: Failed. Another version tries again at once."""
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.runtime.refuses["stop"] = RuntimeTrouble(Reason.STOP_FAILED, "deaf")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.failed("one: StopFailed: deaf")
        memory = edge.workers._deployments[WEB].slots["one"].memory
        assert memory.clearing.failures == 1
        del edge.runtime.refuses["stop"]
        edge.workers.set(WEB, desired(one("v3"), generation=3))
        assert edge.workers._deployments[WEB].slots["one"].memory == memory.ordered_anew()
        await edge.runs("v3", generation=3)


@pytest.mark.rule("A13", "A24")
async def test_silent_runtime_concludes_nothing() -> None:
    """The phase stays and the silence is said; afterwards the same container runs and nothing was done to it."""
    async with device(tick_s=0.02) as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.away = True
        await edge.runtime.until(lambda: "RuntimeAway: " in str(edge.said[-1][2]), "the silence is said")
        assert edge.said[-1] == ("Running", 1, "RuntimeAway: podman does not answer")
        assert edge.reports[-1].container_ids == {"one": "c001"}
        edge.podman.away = False
        await edge.runs("v1")
        assert edge.runtime.calls == ["prepare v1", "create v1", "start c001"]


async def test_silent_runtime_at_the_start() -> None:
    """Nothing was ever known: Pending, and why."""
    async with device() as edge:
        edge.podman.away = True
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runtime.until(lambda: bool(edge.said), "the silence is said")
        assert edge.said == [("Pending", 1, "RuntimeAway: podman does not answer")]
        edge.podman.away = False
        await edge.runs("v1")


async def test_new_desired_state_while_the_runtime_is_silent() -> None:
    """Nobody knows whether anything of it runs: it is not called Running because the last one was."""
    async with device(tick_s=0.02) as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.away = True
        await edge.runtime.until(lambda: "RuntimeAway: " in str(edge.said[-1][2]), "the silence is said")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        assert edge.said[-1] == ("Pending", 2, "RuntimeAway: podman does not answer")
        edge.podman.away = False
        await edge.runs("v2", generation=2)


async def test_lost_answer_is_no_failure() -> None:
    """A request took effect and nobody said so: it is looked at again, nothing is done twice."""
    async with device() as edge:
        edge.runtime.raises["start"] = RuntimeAway("reset")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        assert edge.runtime.calls == ["prepare v1", "create v1", "start c001"]
        assert edge.said == [("Pending", 1, None), ("Running", 1, None)]


async def test_list_that_is_older_than_the_deed() -> None:
    """A list was under way while the container was started, and does not show it: nothing is concluded from it."""
    async with device(tick_s=0.01) as edge:
        start = edge.runtime.hold("start")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runtime.until(lambda: "start c001" in edge.runtime.calls, "the start began")
        answer, looks = edge.runtime.hold("answer"), edge.runtime.looks
        await edge.runtime.until(lambda: edge.runtime.looks > looks, "a look began")
        start.set()
        await edge.runtime.until(lambda: ("start", "c001") in edge.podman.events, "it runs")
        answer.set()
        await edge.runs("v1")
        assert edge.runtime.calls == ["prepare v1", "create v1", "start c001"]
        assert edge.said == [("Pending", 1, None), ("Running", 1, None)]


@pytest.mark.rule("A13")
async def test_deletion_while_the_runtime_is_silent() -> None:
    """It is not gone before the runtime has answered; what is found then goes first."""
    async with device() as edge:
        edge.podman.start(edge.podman.create(spec_of(WEB, one("v1"), LIFECYCLE)))
        edge.podman.away = True
        edge.workers.set(WEB, None)
        looks = edge.runtime.looks
        await edge.runtime.until(lambda: edge.runtime.looks >= looks + 3, "it was asked")
        assert edge.gone == []
        edge.podman.away = False
        await edge.runtime.until(lambda: bool(edge.gone), "it is gone")
        assert edge.podman.boxes == {}


@pytest.mark.rule("A33")
async def test_cancelled_in_the_middle_of_a_stop() -> None:
    """The agent is told to end: what runs, runs on."""
    runtime = FakeRuntime()
    async with device(runtime) as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        runtime.hold("stop")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await runtime.until(lambda: "stop c001" in runtime.calls, "the stop began")
    assert [c.id for c in runtime.podman.running(ONE)] == ["c001"]


@pytest.mark.rule("A17")
async def test_refusal_is_said_until_a_word_is_understood() -> None:
    """The last good runs on under its own owner; the next good word ends it."""
    async with device() as edge:
        edge.workers.refuse(WEB, "nobody knows it yet")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.workers.refuse(WEB, "score.services: at most 64 items, got 500")
        assert edge.said[-1] == ("Failed", 1, "DesiredRefused: score.services: at most 64 items, got 500")
        assert edge.reports[-1].container_ids == {"one": "c001"}
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        assert edge.runtime.calls == ["prepare v1", "create v1", "start c001"]


async def test_changes_that_cannot_be_followed() -> None:
    """The tick sees what the stream of changes did not tell."""
    runtime = FakeRuntime()
    runtime.raises["changes"] = RuntimeAway("reset")
    async with device(runtime, tick_s=0.02) as edge:
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runs("v1")
        edge.podman.end("c001", 1)
        await edge.runs("v1")


async def test_lost_answer_does_not_hold_up_a_new_desired_state() -> None:
    """Requests fail without an answer again and again; another version is taken at once."""
    async with device() as edge:
        edge.runtime.raises["create"] = RuntimeAway("reset")
        edge.workers.set(WEB, desired(one("v1")))
        await edge.runtime.until(lambda: "create v1" in edge.runtime.calls, "the request")
        edge.workers.set(WEB, desired(one("v2"), generation=2))
        await edge.runs("v2", generation=2)


async def test_unexpected_error_ends_all() -> None:
    """A bug in one slot is not survived in silence."""
    edge = Device(FakeRuntime(), NEVER_S, {})
    edge.runtime.raises["create"] = ZeroDivisionError()
    edge.workers.set(WEB, desired(one("v1")))
    with pytest.raises(ExceptionGroup) as caught:
        await asyncio.wait_for(edge.workers.run(), DEADLINE_S)
    assert caught.group_contains(ZeroDivisionError)
