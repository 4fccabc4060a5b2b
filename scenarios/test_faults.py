"""Every fault of the library, alone: it bites and heals; and where it does nothing, its own proof says so."""

import pytest

from harness.checks.life import faults_bit
from harness.env import Environment
from harness.history import Fault
from scenarios.cases import cases, require_pass
from scenarios.catalogue import Shape
from scenarios.exhibits import EXHIBITS, Exhibit, Stage
from scenarios.exhibits.exhibit import SIZE
from scenarios.worlds.fleet import CONVERGE_S, SETTLE_S, create, wait_status_true

FAULTS = Shape(
    number="F",
    id="faults",
    title="A fault of the library, alone",
    trigger="The fault strikes a small fleet that runs, and is healed.",
    expected="It is proved active and proved healed.",
    oracle="The fault's own proofs. Without its teeth they have to fail.",
    risk="medium",
    diagram="",
)


async def show(env: Environment, exhibit: Exhibit) -> None:
    """Strike and mend it in a fleet where everything runs."""
    env.step("setup", f"{SIZE.devices} devices, {SIZE.deployments} deployments, all of them running")
    await create(env, SIZE)
    operator = await env.start_operator()
    await operator.wait_converged(CONVERGE_S)
    devices = await env.start_devices(SIZE.device_names)
    await devices.wait_ready()
    await wait_status_true(env, SETTLE_S)
    fault = await exhibit.build(Stage(env, operator, devices))
    env.step("action", exhibit.does)
    await env.strike(fault)
    await env.mend(fault)


@cases(FAULTS, EXHIBITS)
async def test_fault(env: Environment, case: Exhibit) -> None:
    """The fault bites, and is over when it is healed.

    SETUP   4 devices and 2 deployments, all running
    ACTION  the fault strikes, and is healed
    ASSERT  both were proved
    """
    await show(env, case)
    require_pass(await env.judge(faults_bit))


@pytest.mark.parametrize(
    "exhibit",
    [
        pytest.param(
            exhibit,
            id=exhibit.name,
            marks=[
                *([pytest.mark.needs(*exhibit.needs)] if exhibit.needs else []),
                *([pytest.mark.own_cluster] if exhibit.own_cluster else []),
            ],
        )
        for exhibit in EXHIBITS.values()
    ],
)
async def test_fault_without_teeth(env: Environment, exhibit: Exhibit) -> None:
    """A fault that does nothing is not proved active: whatever it was to show is in doubt, never passed."""
    env.toothless = True
    await show(env, exhibit)
    judgement = await env.judge(faults_bit)
    assert judgement.outcome == "inconclusive"
    events = [fault.event for fault in env.recorder.history().of(Fault)]
    assert events[:2] == ["applied", "unproved"]
