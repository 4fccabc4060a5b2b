"""A small world: one deployment on one device, both peers in memory, a recovery that has converged or holds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fleet.operator import standstill
from fleet.operator.desired_writer import DesiredWriter
from fleet.operator.state import FleetState
from fleet.operator.sweeper import Sweeper
from fleet.operator.tests.holding import Held
from fleet.operator.tests.samples import cell, clean, deployment, device, fleet_state, pair
from fleet.operator.tests.turns import Clock, Stopwatch, running
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


@pytest.fixture
def state() -> FleetState:
    """Return one deployment that runs on one device, with nothing left to look at."""
    state = fleet_state()
    state.upsert_deployment(deployment())
    state.upsert_device(device())
    state.desire(pair(), cell())
    clean(state)
    return state


@pytest.fixture
def writer(world: World) -> DesiredWriter:
    return DesiredWriter(world.parts)


@pytest.fixture
def sweeper(world: World, writer: DesiredWriter) -> Sweeper:
    return Sweeper(world.parts, writer)


@pytest.fixture
def follows(world: World, writer: DesiredWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bring the bucket's news at once, as a replica would."""
    publish = world.broker.publish

    async def published(*args: object, **kwargs: object) -> object:
        ack = await publish(*args, **kwargs)  # type: ignore[arg-type] # handed through
        for news in world.news():
            writer.heard(news)
        return ack

    monkeypatch.setattr(world.broker, "publish", published)


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
async def ran(held: Held) -> AsyncIterator[Held]:
    async with running(held.last.run()):
        yield held
