"""Asks all agents to publish what they have once more: after a bucket that only they can fill was lost."""

import asyncio

from nats.aio.client import Client

from fleet.bus.connection import nats_errors
from fleet.canonical import dumps
from fleet.wire import REPUBLISH_SUBJECT


async def ask(client: Client, window_s: int) -> None:
    """Every agent that hears it publishes at a random time within `window_s`. Raises PeerAway if it was not sent.

    Nobody answers: whoever asks sees by what arrives whether to ask again. It may be cancelled.
    """
    # The library stops reading from the connection when a pong comes for somebody who was cancelled.
    sending = asyncio.ensure_future(_send(client, window_s))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        # What becomes of it is nobody's business any more.
        sending.add_done_callback(lambda sent: sent.cancelled() or sent.exception())
        raise


async def _send(client: Client, window_s: int) -> None:
    with nats_errors("request to publish again"):
        await client.publish(REPUBLISH_SUBJECT, dumps({"window_s": window_s}))
        # The library's first ping may overtake what it has yet to write; the second comes after it.
        for _ in range(2):
            await client.flush(timeout=5)
