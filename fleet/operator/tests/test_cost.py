"""What one change costs does not grow with the fleet: as many lines are run for it in a large one as in a small one."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from fleet.operator.state import FleetState
from fleet.operator.tests.samples import cell, deployment, device, fleet_state, marker, pair, report
from fleet.wire import Phase, device_id

if TYPE_CHECKING:
    from _typeshed import TraceFunction

NEW, OLD = "new", "d7"


def grown(devices: int) -> FleetState:
    """One Deployment on all devices, whose keys are written and who have reported; a key and a report of one more."""
    state = fleet_state()
    state.upsert_deployment(deployment())
    for name in [f"d{number}" for number in range(devices)]:
        state.beat(device_id(name), 0.0)
        state.upsert_device(device(name))
        state.desire(pair(name), cell())
        state.report(pair(name), report())
    state.desire(pair(NEW), cell())
    state.report(pair(NEW), report(Phase.FAILED))
    state.advance(0.5)
    return state


def lines_of(act: Callable[[], object]) -> int:
    """How many lines of Python are run; a loop's count once for each turn."""
    lines = 0

    def trace(_: FrameType, event: str, __: object) -> "TraceFunction":
        nonlocal lines
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return lines


CHANGES: dict[str, Callable[[FleetState], object]] = {
    "a Device comes": lambda state: state.upsert_device(device(NEW)),
    "a Device goes": lambda state: state.remove_device(device_id(OLD)),
    "a Device is blocked": lambda state: state.upsert_device(device(OLD, blocked=True)),
    "a key is written": lambda state: state.desire(pair(OLD), cell(9, generation=2)),
    "a key is deleted": lambda state: state.desire(pair(OLD), marker(9)),
    "a key vanishes": lambda state: state.desire(pair(OLD), None),
    "a report comes": lambda state: state.report(pair(OLD), report(Phase.FAILED, seconds=1)),
    "a report goes": lambda state: state.report(pair(OLD), None),
    "a device beats": lambda state: state.beat(device_id(OLD), 1.0),
    "a status comes back": lambda state: state.upsert_deployment(deployment(status={"observedGeneration": 1})),
    "time passes": lambda state: state.advance(1.0),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_costs_what_it_concerns(change: str) -> None:
    """The others of the same Deployment are not looked at."""
    # The first one makes samples that the others share.
    _, small, large = (lines_of(partial(CHANGES[change], grown(devices))) for devices in (10, 20, 400))
    assert large == small > 0
