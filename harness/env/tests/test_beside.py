"""A second world beside the first: its own broker, namespace and history, and nothing of it is left."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.env import Environment, Foundation
from harness.env.product import Product
from harness.env.recording import HISTORY, recording
from harness.history import History, Mark
from harness.leaks import LeakAudit

COMMAND = (sys.executable, "-c", "raise SystemExit(0)")


@pytest.fixture
async def world(foundation: Foundation, tmp_path: Path) -> AsyncIterator[Environment]:
    """An open environment whose tests leave nothing."""
    audit = LeakAudit(foundation.warden, admin=foundation.admin, toxiproxy=foundation.toxiproxy)
    await audit.before()
    with recording(tmp_path / "case", "shape", "case", None) as recorder:
        env = await Environment.open(foundation, tmp_path / "case", recorder, Product(COMMAND))
        yield env
        await env.close()
    await audit.check()


async def test_a_second_world(world: Environment) -> None:
    """What happens there is told there, by the same operator under test, and not here."""
    async with world.beside("other") as other:
        assert other.nats.url != world.nats.url
        assert other.namespace != world.namespace
        operator = await other.start_operator()
        await operator.process.wait_exit(10)
        await other.mark("there")
    folder = world.folder / "other"
    assert sorted(path.name for path in folder.iterdir()) == [HISTORY, "operator-1.log"]
    stored = History.read(folder / HISTORY)
    assert stored.mark("there") is not None
    assert (stored.meta.scenario, stored.meta.case) == ("shape", "case")
    assert world.recorder.history().of(Mark) == []


async def test_a_second_world_ends_with_the_body(world: Environment) -> None:
    """Also if the body fails; the first one goes on."""

    async def fail() -> None:
        async with world.beside("other"):
            raise RuntimeError("the body")

    with pytest.raises(RuntimeError, match="the body"):
        await fail()
    await world.mark("here")
    assert world.recorder.history().mark("here") is not None
