"""Latency on a link, and a cut: proved where they bite, unproved where they are toothless."""

from collections.abc import AsyncIterator

import pytest

from harness.checks.life import faults_bit
from harness.devices.tests.broker import Broker
from harness.env import Foundation
from harness.faults.cut import Cut
from harness.faults.fault import Fault, mend, strike
from harness.faults.latency import Latency
from harness.history import Fault as FaultRecord
from harness.services.toxiproxy import Proxy

LATENCY_MS = 80


@pytest.fixture
async def link(foundation: Foundation, broker: Broker) -> AsyncIterator[Proxy]:
    proxy = await foundation.toxiproxy.create("link-under-test", broker.server.address)
    yield proxy
    await proxy.delete()


async def nothing(*_: object, **__: object) -> None:
    """A fault whose tool does nothing."""


async def struck(broker: Broker, fault: Fault) -> list[str]:
    """Apply and heal; what was proved of it."""
    await strike(fault, broker.recorder)
    await mend(fault, broker.recorder)
    return [record.event for record in broker.recorder.history().of(FaultRecord)]


async def test_latency(broker: Broker, link: Proxy) -> None:
    """Slow after it was applied, fast after it was healed."""
    fault = Latency(link, LATENCY_MS)
    assert await struck(broker, fault) == ["applied", "proved-active", "healed", "proved-healed"]
    assert fault.target == link.name


async def test_latency_that_is_not_there(broker: Broker, link: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toxic that was never set is seen to be missing, and the run is inconclusive."""
    monkeypatch.setattr(Proxy, "add_toxic", nothing)
    fault = Latency(link, LATENCY_MS)
    await strike(fault, broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"
    assert faults_bit(broker.recorder.history()).outcome == "inconclusive"


async def test_latency_that_stays(broker: Broker, link: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toxic that is still there after the heal is no heal."""
    monkeypatch.setattr(Proxy, "remove_toxic", nothing)
    assert (await struck(broker, Latency(link, LATENCY_MS)))[-1] == "unproved"


async def test_latency_of_a_dead_link(broker: Broker, link: Proxy) -> None:
    """A link that carries nothing proves no latency: another fault than the one that was meant."""
    await link.disable()
    await strike(Latency(link, LATENCY_MS), broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"


async def test_cut(broker: Broker, link: Proxy) -> None:
    """Nobody gets through a cut link; it carries again when it is whole, as often as that is done."""
    cut = Cut(link)
    await struck(broker, cut)
    assert await struck(broker, cut) == ["applied", "proved-active", "healed", "proved-healed"] * 2


async def test_cut_that_did_nothing(broker: Broker, link: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that still carries was not cut."""
    monkeypatch.setattr(Proxy, "disable", nothing)
    await strike(Cut(link), broker.recorder)
    assert broker.recorder.history().of(FaultRecord)[-1].event == "unproved"


async def test_cut_that_stays(broker: Broker, link: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that does not carry again is not healed."""
    monkeypatch.setattr(Proxy, "enable", nothing)
    assert (await struck(broker, Cut(link)))[-1] == "unproved"
