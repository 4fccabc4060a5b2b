"""One connection that many simulated devices share: kept for ever, requests on one inbox, nothing queued while away.

run: connect -> [up <-> lost, as the client reconnects by itself] -> closed for good -> connect ...
ask: token -> publish with reply <inbox>.<token> -> answers, until the last one or the loss of the connection
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable, Sequence
from time import monotonic

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fleet.backoff import Backoff
from fleet.errors import PeerAway
from fleet.wire import REPUBLISH_SUBJECT
from harness.services.nats_client import HarnessClient, close_client

ANSWER_WITHIN_S = 5.0
_CLOSE_WITHIN_S = 2.0
_CONNECT_WITHIN_S = 5
# Many connections lose a server at the same moment; they need not all be back in the same one.
_RECONNECT_WAIT_S = (0.25, 2.5)
_PING_EVERY_S = 5


class _PinnedClient(HarnessClient):
    """Loads the server that it was told to load, and none that this one tells of."""

    async def _process_info(self, info: dict[str, object], initial_connection: bool = False) -> None:
        info.pop("connect_urls", None)
        await super()._process_info(info, initial_connection)


class _Waiting:
    """For the answers to one request."""

    __slots__ = ("answers", "done", "many", "since_s")

    def __init__(self, *, many: bool) -> None:
        self.answers: list[Msg] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.many = many
        self.since_s = monotonic()


class Line:
    """`came` and `went` are told when it is there (again) and when it is lost; `recalled` gets republish requests."""

    def __init__(
        self, url: str, *, came: Callable[[], None], went: Callable[[], None], recalled: Callable[[Msg], None]
    ) -> None:
        self.client: Client | None = None
        self.trouble: str | None = None
        self._url = url
        self._came = came
        self._went = went
        self._recalled = recalled
        self._inbox = ""
        self._tokens = itertools.count()
        # In the order in which they were asked.
        self._open: dict[str, _Waiting] = {}
        self._ready = False

    @property
    def up(self) -> bool:
        return self._ready and self.client is not None and self.client.is_connected

    @property
    def waits_s(self) -> float:
        """For how long the oldest request has had no answer; 0.0 if none waits."""
        oldest = next(iter(self._open.values()), None)
        return 0.0 if oldest is None else monotonic() - oldest.since_s

    async def run(self, after_s: float = 0.0) -> None:
        """Connect after that time. Until cancelled; then the connection is closed. Raises what a callback raised."""
        await asyncio.sleep(after_s)
        backoff = Backoff()
        while True:
            began_s = monotonic()
            try:
                await self._one_client()
            except (NatsError, OSError) as e:
                self.trouble = str(e) or type(e).__name__
            await asyncio.sleep(backoff.delay_s(lasted_s=monotonic() - began_s))

    async def ask(
        self, subject: str, data: bytes, headers: dict[str, str] | None = None, *, many: bool = False
    ) -> Sequence[Msg]:
        """The one answer; of `many` all up to the one that has a status. Raises PeerAway if they do not come."""
        client = self.client
        if client is None or not self.up:
            raise PeerAway("the broker is away")
        token = str(next(self._tokens))
        waiting = self._open[token] = _Waiting(many=many)
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await client.publish(subject, data, reply=f"{self._inbox}.{token}", headers=headers)
                await waiting.done
        except TimeoutError as e:
            raise PeerAway(f"{subject}: no answer within {ANSWER_WITHIN_S:g} s") from e
        except (NatsError, OSError) as e:
            raise PeerAway(f"{subject}: {str(e) or type(e).__name__}") from e
        finally:
            del self._open[token]
            # Nobody looks at the outcome of what was given up.
            waiting.done.cancel()
        return waiting.answers

    async def _one_client(self) -> None:
        client = self.client = _PinnedClient()
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def closed() -> None:
            if not over.done():
                over.set_result(None)

        async def told(error: Exception) -> None:
            self.trouble = str(error) or type(error).__name__
            # The library takes whatever a callback of ours raises for an error of the connection.
            if not isinstance(error, NatsError | OSError | TimeoutError) and not over.done():
                over.set_exception(error)

        try:
            await client.connect(
                self._url,
                name="fleetproof-simulator",
                connect_timeout=_CONNECT_WITHIN_S,
                max_reconnect_attempts=-1,
                # Annotated int, given to asyncio.sleep.
                reconnect_time_wait=random.uniform(*_RECONNECT_WAIT_S),  # type: ignore[arg-type] # noqa: S311 - spreads load
                ping_interval=_PING_EVERY_S,
                # What is published while away would be stored later, as a sign of life of long ago.
                pending_size=0,
                disconnected_cb=self._lost,
                reconnected_cb=self._back,
                closed_cb=closed,
                error_cb=told,
            )
            self._inbox = client.new_inbox()
            await client.subscribe(f"{self._inbox}.*", cb=self._answered)
            await client.subscribe(REPUBLISH_SUBJECT, cb=self._asked)
            self._ready = True
            await self._back()
            await over
        finally:
            self._ready = False
            await self._lost()
            # It may have come as far as an open socket; the library asserts that it came as far as its queue.
            with contextlib.suppress(AssertionError, TimeoutError, NatsError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await close_client(client)

    async def _back(self) -> None:
        if self.up:
            self.trouble = None
            self._came()

    async def _lost(self) -> None:
        for waiting in self._open.values():
            if not waiting.done.done():
                waiting.done.set_exception(OSError("the connection was lost"))
        self._went()

    async def _asked(self, message: Msg) -> None:
        self._recalled(message)

    async def _answered(self, message: Msg) -> None:
        waiting = self._open.get(message.subject.rpartition(".")[2])
        if waiting is None or waiting.done.done():
            return
        waiting.answers.append(message)
        if not waiting.many or "Status" in (message.headers or {}):
            waiting.done.set_result(None)
