"""A small world: one deployment on one device, both peers in memory, a recovery that has converged."""

import asyncio

import pytest

from fleet.operator import standstill
from fleet.operator.tests.samples import deployment, device
from fleet.operator.tests.turns import Clock, Stopwatch
from fleet.operator.tests.world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    stopwatch = Stopwatch()
    monkeypatch.setattr(standstill, "time", stopwatch)
    world = World(stopwatch)
    world.objects(deployment(), device())
    return world


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The loop's clock, in the test's hands."""
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock.time)
    return clock
