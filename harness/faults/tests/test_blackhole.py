"""A network that swallows packets: proved by silence on a link that is up, and gone when its namespace is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from harness.devices.tests.broker import Broker
from harness.env import Foundation
from harness.faults.blackhole import Blackhole
from harness.faults.fault import mend, strike
from harness.faults.tests.links import PROVED, proved_without_teeth, struck
from harness.services.kernel_things import NETNS_FOLDER
from harness.services.veth_link import _DEVICES, VethLink, _device, veth_link

pytestmark = pytest.mark.needs("netns")


@pytest.fixture
async def link(foundation: Foundation, broker: Broker) -> AsyncIterator[VethLink]:
    async with veth_link("cable", broker.server.address, warden=foundation.warden, recorder=broker.recorder) as link:
        yield link


async def test_swallows_and_carries_again(broker: Broker, link: VethLink) -> None:
    """As often as it is done."""
    assert await struck(broker, Blackhole(link)) == PROVED
    assert await struck(broker, Blackhole(link)) == PROVED


async def test_without_teeth(broker: Broker, link: VethLink) -> None:
    """A link that carries is no blackhole."""
    assert not await proved_without_teeth(broker, Blackhole(link))


async def test_one_that_stays(broker: Broker, link: VethLink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heal that did nothing is seen."""

    async def nothing(_: VethLink) -> None:
        pass

    monkeypatch.setattr(VethLink, "carry", nothing)
    monkeypatch.setattr("harness.faults.blackhole._HEALED_WITHIN_S", 0.5)
    assert (await struck(broker, Blackhole(link)))[-1] == "unproved"


async def test_a_link_that_is_down_is_no_blackhole(
    broker: Broker, link: VethLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its users are told of that."""
    fault = Blackhole(link)
    monkeypatch.setattr(VethLink, "up", False)
    assert "unproved" in await struck(broker, fault)


async def test_connections_outlive_it(broker: Broker, link: VethLink) -> None:
    """What was sent into it comes when it is healed: nobody was told of a loss, so nobody gave up."""
    host, _, port = link.listen.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        assert (await reader.readline()).startswith(b"INFO ")
        fault = Blackhole(link)
        await strike(fault, broker.recorder)
        writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await reader.readline()
        await mend(fault, broker.recorder)
        async with asyncio.timeout(10):
            assert await reader.readline() == b"PONG\r\n"
    finally:
        writer.close()
        await writer.wait_closed()


async def test_it_ends_what_it_was_given(foundation: Foundation, broker: Broker) -> None:
    """A link that belongs to the fault closes with it, as often as that is asked for."""
    stack = AsyncExitStack()
    link = await stack.enter_async_context(veth_link("cable", broker.server.address, warden=foundation.warden))
    fault = Blackhole(link, stack)
    await strike(fault, broker.recorder)
    await fault.close()
    await fault.close()
    assert not foundation.warden.registered_things


async def test_nothing_is_left(foundation: Foundation, broker: Broker) -> None:
    """Neither a device nor a namespace, though it was struck and never healed."""
    async with veth_link("cable", broker.server.address, warden=foundation.warden, recorder=broker.recorder) as link:
        mine = {_DEVICES / _device(link._netns), NETNS_FOLDER / link._netns}
        assert {path for path in mine if path.exists()} == mine
        await strike(Blackhole(link), broker.recorder)
    assert not foundation.warden.registered_things
    assert not [path for path in mine if path.exists()]
