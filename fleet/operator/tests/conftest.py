"""A state with one deployment on one device, and a recovery that has converged."""

import pytest

from fleet.operator.recovery import Recovery
from fleet.operator.state import FleetState
from fleet.operator.tests.samples import deployment, device
from fleet.operator.tests.turns import converged


@pytest.fixture
def recovery() -> Recovery:
    recovery = Recovery(["s"])
    converged(recovery)
    return recovery


@pytest.fixture
def state() -> FleetState:
    state = FleetState()
    state.upsert_deployment(deployment())
    state.upsert_device(device())
    return state
