"""Reports reach the disk before the broker; the latest counts; a deployment that is gone is taken back, then forgotten.

The disk is a real one; what is published is written down.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.agent.layout import Layout
from fleet.agent.reporter import Reporter
from fleet.agent.store import Store
from fleet.errors import ArtifactError
from fleet.wire import DeploymentName, DeviceState, Owner, Phase, deployment_name

WEB = deployment_name("web")
WITHIN_S = 5.0


def state(generation: int) -> DeviceState:
    return DeviceState(Phase.RUNNING, datetime(2026, 11, 21, tzinfo=UTC), Owner("uid", generation))


class Told:
    """What is asked of the broker and of the desk, in order; the report that was on disk then."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.reporter = Reporter(Store(self.layout), self, self._forgotten)
        self.words: list[tuple[str, object]] = []
        self.news = asyncio.Event()

    def put(self, deployment: DeploymentName, state: DeviceState) -> None:
        assert Store(self.layout).load().kept[deployment].report == state.encode()
        self._note("put", state.owner.generation)

    def delete(self, deployment: DeploymentName) -> None:
        self._note("delete", deployment)

    async def until(self, *words: tuple[str, object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while self.words != list(words):
                self.news.clear()
                await self.news.wait()

    async def _forgotten(self, name: DeploymentName) -> None:
        self._note("forget", name)

    def _note(self, what: str, of: object) -> None:
        self.words.append((what, of))
        self.news.set()


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    told = Told(tmp_path)
    task = asyncio.ensure_future(told.reporter.run())
    yield told
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def test_the_disk_has_it_first(told: Told) -> None:
    """So that event time does not go back after a start without a broker."""
    told.reporter.reported(WEB, state(1))
    await told.until(("put", 1))


async def test_only_the_latest_goes_out(told: Told) -> None:
    """What was overtaken is said to nobody."""
    for generation in (1, 2, 3):
        told.reporter.reported(WEB, state(generation))
    await told.until(("put", 3))


async def test_a_full_disk_does_not_silence_it(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report goes out all the same."""

    def full(*_: object) -> None:
        raise ArtifactError("no space left on device")

    monkeypatch.setattr(Store, "keep_report", full)
    monkeypatch.setattr(Told, "put", lambda told, _, state: told._note("put", state.owner.generation))
    told.reporter.reported(WEB, state(1))
    await told.until(("put", 1))


@pytest.mark.rule("A19")
async def test_what_is_gone_is_taken_back_before_it_is_forgotten(told: Told) -> None:
    """Its report is not published any more; forgotten is it once the broker holds none."""
    told.reporter.reported(WEB, state(1))
    told.reporter.gone(WEB)
    await told.until(("delete", WEB))
    told.reporter.taken_back(WEB)
    await told.until(("delete", WEB), ("forget", WEB))
