"""Each toxic of a link: seen to bite, seen to be over; without its bite, or with its heal undone, it is not proved."""

from collections.abc import AsyncIterator, Callable

import pytest

from harness.devices.tests.broker import Broker
from harness.env import Foundation
from harness.faults.bandwidth import Bandwidth
from harness.faults.fault import strike
from harness.faults.limit_data import LimitData
from harness.faults.reset import Reset
from harness.faults.slicer import Slicer
from harness.faults.tests.links import PROVED, proved_without_teeth, struck
from harness.faults.timeout import Timeout
from harness.faults.toxic import Toxic
from harness.history import Fault as FaultRecord
from harness.services.toxiproxy import Proxy

TOXICS: dict[str, Callable[[Proxy], Toxic]] = {
    "bandwidth": lambda link: Bandwidth(link, rate_kb_s=20),
    "limit-data": lambda link: LimitData(link, limit_bytes=3000),
    "limit-data within the greeting": lambda link: LimitData(link, limit_bytes=10),
    "reset": Reset,
    "slicer": lambda link: Slicer(link, size_bytes=64, pause_us=500),
    "timeout": Timeout,
}
each = pytest.mark.parametrize("make", TOXICS.values(), ids=TOXICS)


@pytest.fixture
async def link(foundation: Foundation, broker: Broker) -> AsyncIterator[Proxy]:
    proxy = await foundation.toxiproxy.create("link-under-test", broker.server.address)
    yield proxy
    await proxy.delete()


async def nothing(*_: object, **__: object) -> None:
    """A tool that does nothing."""


@each
async def test_bites_and_heals(broker: Broker, link: Proxy, make: Callable[[Proxy], Toxic]) -> None:
    """Proved each time it is applied and each time it is healed."""
    toxic = make(link)
    assert await struck(broker, toxic) == PROVED
    assert await struck(broker, toxic) == PROVED
    assert toxic.target == link.name


@each
async def test_without_teeth(broker: Broker, link: Proxy, make: Callable[[Proxy], Toxic]) -> None:
    """A whole link proves no fault."""
    assert not await proved_without_teeth(broker, make(link))


@each
async def test_a_heal_that_did_nothing(
    broker: Broker, link: Proxy, make: Callable[[Proxy], Toxic], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A toxic that is still there is not healed."""
    monkeypatch.setattr(Proxy, "remove_toxic", nothing)
    assert (await struck(broker, make(link)))[-1] == "unproved"


@each
async def test_on_a_dead_link(broker: Broker, link: Proxy, make: Callable[[Proxy], Toxic]) -> None:
    """A link that nobody gets into shows another fault than the one that was meant."""
    await link.disable()
    await strike(make(link), broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"


async def test_two_at_once(broker: Broker, link: Proxy) -> None:
    """Toxics compose: each is proved while the other one bites, in whatever order they end."""
    narrow, limit = Bandwidth(link, rate_kb_s=50), LimitData(link, limit_bytes=5000)
    await strike(narrow, broker.recorder)
    assert await struck(broker, limit) == PROVED
    await strike(limit, broker.recorder)
    assert [record.event for record in broker.recorder.history().of(FaultRecord)].count("proved-active") == 3
