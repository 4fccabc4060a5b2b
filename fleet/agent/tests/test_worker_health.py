"""Health checks decide what is reported, and nothing else."""

import pytest

from fleet.agent import slot_worker
from fleet.agent.model import Reason
from fleet.agent.runtime.protocol import RuntimeAway, RuntimeTrouble
from fleet.agent.tests.edge import desired, device, one
from fleet.agent.tests.fake_podman import WEB
from fleet.wire import (
    HealthCheck,
)


@pytest.mark.rule("A12")
async def test_health_decides_the_phase_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pending until it passes, Failed when it fails often enough; the container is left alone."""
    monkeypatch.setattr(slot_worker, "_FIRST_CHECK_AFTER_S", 0.0)
    async with device() as edge:
        edge.runtime.healthy = False
        edge.workers.set(WEB, desired(one("v1", check=HealthCheck(("/probe",), interval_secs=1, retries=1))))
        await edge.failed("one: Unhealthy: the health check ended with exit code 7: no answer")
        edge.runtime.healthy = True
        await edge.runs("v1")
        assert edge.podman.events == [("create", "c001"), ("start", "c001")]
        assert set(edge.runtime.checks) == {(("/probe",), 5.0)}


async def test_health_is_asked_of_each_run_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """The container ends and is started again: it is Pending until the check of this run passed."""
    monkeypatch.setattr(slot_worker, "_FIRST_CHECK_AFTER_S", 0.0)
    async with device() as edge:
        edge.workers.set(WEB, desired(one("v1", check=HealthCheck(("/probe",), interval_secs=3600))))
        await edge.runs("v1")
        edge.podman.end("c001", 1)
        await edge.failed("Exited")
        await edge.runs("v1")
        began = ["Pending", "Pending", "Running"]
        assert [phase for phase, *_ in edge.said] == [*began, "Failed", "Pending", "Running"]
        assert len(edge.runtime.checks) == 2
        edge.workers.set(WEB, desired(one("v1", check=HealthCheck(("/other",), interval_secs=3600)), generation=2))
        await edge.runtime.until(lambda: len(edge.runtime.checks) == 3, "the other check")
        await edge.runs("v1", generation=2)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (TimeoutError(), "took longer than 5 s"),
        (RuntimeTrouble(Reason.EXITED, "not running"), "could not run: not running"),
    ],
)
async def test_health_check_that_cannot_be_run(problem: Exception, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that hangs or cannot begin has failed."""
    monkeypatch.setattr(slot_worker, "_FIRST_CHECK_AFTER_S", 0.0)
    async with device() as edge:
        edge.runtime.raises["execute"] = problem
        edge.workers.set(WEB, desired(one("v1", check=HealthCheck(("/probe",), interval_secs=3600, retries=1))))
        await edge.failed(words)


async def test_silence_is_no_answer_to_a_health_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither passed nor failed: asked again."""
    monkeypatch.setattr(slot_worker, "_FIRST_CHECK_AFTER_S", 0.0)
    async with device() as edge:
        edge.runtime.raises["execute"] = RuntimeAway("reset")
        edge.workers.set(WEB, desired(one("v1", check=HealthCheck(("/probe",), interval_secs=1, retries=1))))
        await edge.runs("v1")
        assert [phase for phase, *_ in edge.said if phase == "Failed"] == []
