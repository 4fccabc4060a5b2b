"""The request to publish again reaches whoever listens, or the operator knows that it did not."""

import asyncio

import pytest
from nats.aio.client import Client

from fleet.bus import republish
from fleet.errors import PeerAway


async def test_the_request_names_the_window(client: Client) -> None:
    """One canonical payload on one subject."""
    subscription = await client.subscribe("fleet.republish")
    await republish.ask(client, 30)
    assert (await subscription.next_msg(timeout=5)).data == b'{"window_s":30}'


async def test_a_request_that_was_not_sent_is_told(client: Client) -> None:
    """Without a connection nobody was asked."""
    await client.close()
    with pytest.raises(PeerAway, match="request to publish again"):
        await republish.ask(client, 30)


async def test_a_request_that_is_given_up_leaves_the_connection_alone(client: Client) -> None:
    """Cancelled while it waits for the server, as by a newer one: the client hears what comes after."""
    subscription = await client.subscribe("fleet.republish")
    for _ in range(3):
        asking = asyncio.create_task(republish.ask(client, 30))
        # As far as the first ping.
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait({asking})
    await republish.ask(client, 31)
    heard = [(await subscription.next_msg(timeout=5)).data for _ in range(4)]
    assert heard[-1] == b'{"window_s":31}'
