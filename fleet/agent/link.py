"""The agent's one NATS connection: made in the background, for ever, by however many clients that takes.

    run: connect -> subscribe -> [up <-> lost, as the client reconnects by itself] -> closed for good -> connect ...

The client library reconnects by itself; it gives up on some errors of the server's, and then there is another client.
Whoever uses the link needs not know: what it listens to is subscribed on each, and `life` ends with the connection.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic
from typing import TypeAlias

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from fleet.backoff import Backoff
from fleet.bus import connection
from fleet.bus.connection import REQUEST_TIMEOUT_S, nats_errors
from fleet.errors import PeerAway, PeerRefused
from fleet.logs import get_logger

_CONNECT_WITHIN_S = 20.0
# Many devices lose a server at the same moment; they need not all be back in the same one.
_RECONNECT_WAIT_S = (0.25, 2.5)
# Credentials do not mend themselves; each attempt costs the server a line in its log.
_REFUSED_WAIT_S = (20.0, 40.0)

Take: TypeAlias = Callable[[Msg], None]
"""Takes a message; must neither block nor raise."""


class Link:
    """`up` is set while requests make sense. An exception in a listener ends `run`, and so the agent."""

    def __init__(self, url: str, *, name: str) -> None:
        self.up = asyncio.Event()
        # The last error; None while all is well.
        self.trouble: str | None = None
        self._url = url
        self._name = name
        self._js: JetStreamContext | None = None
        self._takes: list[tuple[str, Take]] = []
        self._backs: list[Callable[[], None]] = []
        self._lives: set[asyncio.Timeout] = set()
        self._over: asyncio.Future[None] | None = None
        self._log = get_logger("link")

    def listen(self, subject: str, take: Take) -> None:
        """Subscribe on each connection. To be called before `run`."""
        self._takes.append((subject, take))

    def on_back(self, call: Callable[[], None]) -> None:
        """Call this whenever the connection is there (again): what was sent meanwhile was missed."""
        self._backs.append(call)

    @asynccontextmanager
    async def life(self) -> AsyncIterator[JetStreamContext]:
        """For requests: raises PeerAway if there is no connection, and as soon as it is lost."""
        if self._js is None or not self.up.is_set():
            raise PeerAway("NATS is away")
        try:
            async with asyncio.timeout(None) as life:
                self._lives.add(life)
                try:
                    yield self._js
                finally:
                    self._lives.discard(life)
        except TimeoutError as e:
            raise PeerAway("the connection to NATS was lost") from e

    async def publish(self, subject: str, data: bytes) -> None:
        """Send, and hope: nobody acknowledges. Raises PeerAway."""
        if self._js is None or not self.up.is_set():
            raise PeerAway("NATS is away")
        with nats_errors(f"message to {subject}"):
            await self._js._nc.publish(subject, data)  # noqa: SLF001 - the context keeps its client to itself

    async def run(self) -> None:
        """Until cancelled. Raises what a listener raised."""
        backoff = Backoff()
        while True:
            began_s = monotonic()
            try:
                await self._one_client()
            except PeerRefused as e:
                self._error(str(e))
                await asyncio.sleep(_between(_REFUSED_WAIT_S))
            except PeerAway as e:
                self._error(str(e))
                await asyncio.sleep(backoff.delay_s(lasted_s=monotonic() - began_s))

    async def _one_client(self) -> None:
        over = self._over = asyncio.get_running_loop().create_future()
        # If it is never waited for, because there was no connection to begin with, that is no error.
        over.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        listener = connection.Listener(lost=self._lost, back=self._back, closed=self._closed, error=self._told)
        client = await connection.connect(
            self._url,
            name=self._name,
            deadline_s=_CONNECT_WITHIN_S,
            listener=listener,
            reconnect_wait_s=_between(_RECONNECT_WAIT_S),
        )
        try:
            await self._subscribe(client)
            self._js = client.jetstream(timeout=REQUEST_TIMEOUT_S)
            # If it was lost meanwhile, the client says when it is back.
            if client.is_connected:
                self._back()
            await over
        finally:
            self._js = None
            self._down()
            over.cancel()
            await connection.close(client)

    async def _subscribe(self, client: Client) -> None:
        for subject, take in self._takes:

            async def hand_over(message: Msg, take: Take = take) -> None:
                # The library takes whatever a callback raises for an error of the connection.
                try:
                    take(message)
                except Exception as e:  # noqa: BLE001 - raised by `run`
                    self._end(e)

            with nats_errors(f"subscription to {subject}"):
                await client.subscribe(subject, cb=hand_over)

    def _back(self) -> None:
        if self._js is None:
            return
        self.trouble = None
        self._log.info("nats_connected", url=connection.public_url(self._url))
        self.up.set()
        for call in self._backs:
            call()

    def _lost(self) -> None:
        self._log.warning("nats_lost")
        self._down()

    def _closed(self) -> None:
        self._end(PeerAway(f"NATS closed the connection for good: {self.trouble or 'no reason given'}"))

    def _down(self) -> None:
        self.up.clear()
        lives, self._lives = self._lives, set()
        for life in lives:
            life.reschedule(asyncio.get_running_loop().time())

    def _told(self, reason: str) -> None:
        self._error(reason)
        # The library would go on asking, several times a second.
        if not self.up.is_set() and self._js is not None and connection.says_refused(reason):
            self._end(PeerRefused(f"NATS refused the credentials: {reason}; check FLEET_NATS_URL"))

    def _end(self, reason: Exception) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_exception(reason)

    def _error(self, reason: str) -> None:
        """Every attempt says the same: it is logged when it changes."""
        if reason != self.trouble:
            self.trouble = reason
            self._log.warning("nats_error", reason=reason)


def _between(bounds_s: tuple[float, float]) -> float:
    return random.uniform(*bounds_s)  # noqa: S311 - spreads load, guards nothing
