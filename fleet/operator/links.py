"""The operator's connections to NATS: one for requests and writes, one for each bucket that is followed.

A server drops a client for which it holds more than it wants to (64 MB, by its default), and its flow control bounds
each consumer by half of that: four replays on one connection are dropped on a slow machine, again and again.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

from nats.aio.client import Client

from fleet.bus import connection
from fleet.bus.tap import new_client
from fleet.errors import PeerAway
from fleet.logs import get_logger


class NatsLinks:
    """Opens connections, and knows what they said last."""

    def __init__(self, url: str, *, deadline_s: float) -> None:
        self._url = url
        self._deadline_s = deadline_s
        self._closed = asyncio.Event()
        self._log = get_logger("operator")
        # The last error; None once a connection is back.
        self.trouble: str | None = None

    async def open(self, stack: AsyncExitStack, name: str, lost: Callable[[], None] = lambda: None) -> Client:
        """Connect; closed with the stack. `lost` is called whenever the connection breaks. Raises PeerError."""

        def broke() -> None:
            self._log.warning("nats_lost", connection=name)
            lost()

        def back() -> None:
            self.trouble = None
            self._log.info("nats_back", connection=name)

        listener = connection.Listener(lost=broke, back=back, closed=self._closed.set, error=self._error)
        client = await connection.connect(
            self._url, name=name, deadline_s=self._deadline_s, listener=listener, client=new_client()
        )
        stack.push_async_callback(connection.close, client)
        self.trouble = None
        return client

    async def closed_for_good(self) -> None:
        """Wait until one of them never comes back, and raise PeerAway."""
        await self._closed.wait()
        raise PeerAway(f"NATS closed the connection for good: {self.trouble or 'no reason given'}")

    def _error(self, reason: str) -> None:
        """Every attempt to reconnect says the same, four times a second: it is logged when it changes."""
        if reason != self.trouble:
            self.trouble = reason
            self._log.warning("nats_error", reason=reason)
