"""Whether an agent comes round to its runtime: what the service manager's watchdog is told of it."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from fleet.agent import observer as observer_module
from fleet.agent.observer import Observer
from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.tests.fake_runtime import FakeRuntime

TICK_S = 1.0
LATE_S = TICK_S + observer_module._LOOK_S_MAX


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
async def observer(runtime: FakeRuntime) -> AsyncIterator[Observer]:
    made = Observer(runtime, TICK_S, runtime.stir)
    task = asyncio.ensure_future(made.run())
    yield made
    task.cancel()
    await asyncio.wait({task})


async def test_a_look_that_hangs_is_no_move(runtime: FakeRuntime, observer: Observer) -> None:
    """It may take as long as its calls may; then nothing comes round any more, until it ends after all."""
    held = runtime.hold("containers")
    began_s = monotonic()
    assert observer.moves(began_s)
    assert observer.moves(began_s + LATE_S - TICK_S)
    assert not observer.moves(began_s + LATE_S + 1)
    held.set()
    await runtime.until(lambda: observer.seen > 0, "a look ended")
    assert observer.moves(monotonic() + LATE_S - TICK_S)


async def test_a_runtime_that_is_away_is_looked_for(runtime: FakeRuntime, observer: Observer) -> None:
    """A refusal is an end of a look as an answer is: no restart of the agent would mend it."""
    runtime.refuses["containers"] = RuntimeAway("nobody is there")
    before_s = observer._ended_s
    await runtime.until(lambda: observer.away is not None, "a look was refused")
    assert observer._ended_s > before_s
