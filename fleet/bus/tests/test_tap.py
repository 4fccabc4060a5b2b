"""Chosen subscriptions come raw, all others as ever; without the library's private method all come as ever."""

import asyncio
from collections.abc import Sequence

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport

from fleet.bus import tap as tap_module
from fleet.bus.deliveries import Deliveries, Raw
from fleet.bus.entry import raw_headers
from fleet.bus.steady import SteadyClient
from fleet.bus.tap import TappedClient, new_client, tap, untap
from fleet.bus.tests.servers import DEADLINE_S, Life, Server


async def test_a_tapped_subscription_comes_raw(client: Client) -> None:
    """Subject, reply, payload and the header block as they were sent; counted like any other message."""
    taken: list[Raw] = []
    called: list[Msg] = []
    both = asyncio.Event()

    def take(messages: Sequence[Raw] | Deliveries) -> None:
        taken.extend(messages)
        if len(taken) == 2:
            both.set()

    async def callback(message: Msg) -> None:
        called.append(message)

    subscription = await client.subscribe("a.*", cb=callback)
    assert tap(client, subscription, take)
    before = client.stats["in_msgs"]
    await client.publish("a.b", b"x", reply="r", headers={"K": "v"})
    await client.publish("a.c", b"y")
    async with asyncio.timeout(DEADLINE_S):
        await both.wait()
    assert taken == [(b"a.b", b"r", b"x", b"NATS/1.0\r\nK: v\r\n\r\n"), (b"a.c", b"", b"y", None)]
    assert client.stats["in_msgs"] == before + 2
    assert not called


async def test_others_come_as_ever(client: Client) -> None:
    """A tap takes its own subscription's messages only, and only while it is there."""
    taken: list[Raw] = []
    tapped = await client.subscribe("a")
    other = await client.subscribe("a")
    assert tap(client, tapped, taken.extend)
    await client.publish("a", b"1")
    assert (await other.next_msg(timeout=5)).data == b"1"
    untap(client, tapped)
    await client.publish("a", b"2")
    assert (await tapped.next_msg(timeout=5)).data == b"2"
    assert [raw[2] for raw in taken] == [b"1"]


@pytest.mark.parametrize("parameters", [["self", "message"], None])
async def test_another_version_of_the_library_is_not_touched(
    monkeypatch: pytest.MonkeyPatch, client: Client, parameters: list[str] | None
) -> None:
    """With another private method, or none, a client without taps is made and `tap` says no."""
    monkeypatch.setattr(tap_module, "_HOOK", "_process_msg" if parameters else "_gone")
    monkeypatch.setattr(tap_module, "_HOOK_PARAMETERS", parameters)
    plain = new_client()
    assert type(plain) is SteadyClient
    subscription = await client.subscribe("a")
    assert not tap(plain, subscription, lambda _: None)
    untap(plain, subscription)


def test_this_version_of_the_library_can_be_tapped() -> None:
    """The version that is installed is: else all replays are slow, and this test says so first."""
    assert isinstance(new_client(), TappedClient)


async def test_headers_are_put_together_again(client: Client) -> None:
    """What the library parsed becomes the block that the wire had, an inline status included."""
    subscription = await client.subscribe("a")
    taken: list[Raw] = []
    twin = await client.subscribe("a")
    tap(client, twin, taken.extend)
    await client.publish("a", b"", headers={"K": "v", "L": "w"})
    await client.publish("a", b"")
    async with asyncio.timeout(DEADLINE_S):
        messages = [await subscription.next_msg(timeout=5) for _ in range(2)]
    assert [raw_headers(message) for message in messages] == [raw[3] for raw in taken]
    status = Msg(client, headers={"Status": "100", "Description": "Idle Heartbeat", "Nats-Last-Consumer": "1"})
    assert raw_headers(status) == b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n"


async def test_what_came_is_read_in_large_pieces() -> None:
    """Of what waits, more is read at once than the library asks for; what is less is not waited for."""
    transport = TcpTransport()  # type: ignore[no-untyped-call] # the library's
    reader = transport._io_reader = asyncio.StreamReader()
    reader.feed_data(bytes(130 * 1024))
    wide = tap_module._WideTransport.of(transport)
    assert [len(await wide.read(32 * 1024)) for _ in range(2)] == [128 * 1024, 2 * 1024]


async def test_every_connection_is_read_so(client: Client, server: Server, life: Life) -> None:
    """The first one, and the next."""
    assert type(client._transport) is tap_module._WideTransport
    await server.restart()
    async with asyncio.timeout(DEADLINE_S):
        await life.is_back.wait()
    assert type(client._transport) is tap_module._WideTransport
