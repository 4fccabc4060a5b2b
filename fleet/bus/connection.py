"""One NATS connection that reconnects for ever, and the table that maps its library's errors to ours."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.errors import APIError, NotFoundError

from fleet.bus.steady import SteadyClient
from fleet.errors import Conflict, PeerAway, PeerRefused, SettingsError

# https://github.com/nats-io/nats-server/blob/main/server/errors.json
ERR_WRONG_LAST_SEQUENCE = 10071
ERR_WRONG_LAST_SEQUENCE_CONSTANT = 10164

REQUEST_TIMEOUT_S = 5.0
_RECONNECT_WAIT_S = 0.25
_PING_INTERVAL_S = 5
_PINGS_OUTSTANDING_MAX = 2
_CANCEL_AGAIN_S = 0.5
_REFUSED = re.compile("authorization|authentication|expired", re.IGNORECASE)


@contextmanager
def nats_errors(what: str) -> Iterator[None]:
    """Map whatever nats-py raises inside to PeerAway, PeerRefused or Conflict; `what` opens the message.

    A request whose answer comes together with a cancellation swallows the cancellation (`asyncio.wait_for` of Python
    3.11, which nats-py uses), and a loop that was told to end would go on: here it is raised after all.
    """
    try:
        yield
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
    except NotFoundError as e:
        raise PeerRefused(f"{what}: not found: {_text(e)}") from e
    except APIError as e:
        if e.err_code in (ERR_WRONG_LAST_SEQUENCE, ERR_WRONG_LAST_SEQUENCE_CONSTANT):
            raise Conflict(f"{what}: {_text(e)}") from e
        if e.code is not None and e.code >= 500:  # noqa: PLR2004 - the 5xx of HTTP, which JetStream borrows
            raise PeerAway(f"{what}: JetStream cannot serve it now: {_text(e)}") from e
        raise PeerRefused(f"{what}: JetStream refused it: {_text(e)}") from e
    except NoRespondersError as e:
        raise PeerAway(f"{what}: nobody answers: JetStream is off, or the stream is missing") from e
    except (TimeoutError, NatsError, OSError) as e:
        raise PeerAway(f"{what}: {_text(e)}") from e


def says_refused(reason: str) -> bool:
    """Whether an error that the library tells says that the server does not want these credentials."""
    return _REFUSED.search(reason) is not None


def _text(error: BaseException) -> str:
    description = getattr(error, "description", None) or str(error) or type(error).__name__
    return str(description).removeprefix("nats: ")


def check_url(url: str) -> str:
    """Return `url`, or raise SettingsError if no NATS client could use it. Credentials never reach the message."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"nats", "tls", "ws", "wss"} or not parts.hostname or port is None:
        raise SettingsError("FLEET_NATS_URL is not a NATS address: expected nats://HOST:PORT")
    return url


def public_url(url: str) -> str:
    """`url` without its user and password, for logs and messages."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """Told about the connection's life.

    `closed` means that it never comes back: somebody closed it, or the library gave up on an error of the server's.
    """

    lost: Callable[[], None]
    back: Callable[[], None]
    closed: Callable[[], None]
    error: Callable[[str], None]


class _Callbacks:
    """What the library calls, and what the attempt to connect learns from it."""

    def __init__(self, client: Client, listener: Listener) -> None:
        self.refused = asyncio.Event()
        self.detail = "no answer"
        self._client = client
        self._listener = listener

    async def lost(self) -> None:
        # The library says this too when it closes for good.
        if not self._client.is_closed:
            self._listener.lost()

    async def back(self) -> None:
        self._listener.back()

    async def closed(self) -> None:
        self._listener.closed()

    async def error(self, e: Exception) -> None:
        text = _text(e)
        if not self.refused.is_set():
            self.detail = text
        # While it connects, the library reports this as any other error and tries again, for ever.
        if says_refused(text):
            self.refused.set()
        self._listener.error(text)


async def connect(
    url: str,
    *,
    name: str,
    deadline_s: float,
    listener: Listener,
    reconnect_wait_s: float | None = None,
    client: Client | None = None,
) -> Client:
    """Connect within `deadline_s`; afterwards the client reconnects by itself, for ever.

    `reconnect_wait_s` is the pause between two attempts at the same server, `client` one that was never connected.

    Raises:
        PeerAway: no server answered in time.
        PeerRefused: a server answered and refused the credentials.
    """
    where = f"NATS at {public_url(url)}"
    client = client or SteadyClient()
    callbacks = _Callbacks(client, listener)
    connecting = asyncio.ensure_future(
        client.connect(
            url,
            name=name,
            connect_timeout=2,
            reconnect_time_wait=reconnect_wait_s or _RECONNECT_WAIT_S,  # type: ignore[arg-type] # goes to asyncio.sleep
            max_reconnect_attempts=-1,
            ping_interval=_PING_INTERVAL_S,
            max_outstanding_pings=_PINGS_OUTSTANDING_MAX,
            # What is published while away would be stored later, in an order nobody decided.
            pending_size=0,
            disconnected_cb=callbacks.lost,
            reconnected_cb=callbacks.back,
            closed_cb=callbacks.closed,
            error_cb=callbacks.error,
        )
    )
    refusal = asyncio.ensure_future(callbacks.refused.wait())
    try:
        await asyncio.wait({connecting, refusal}, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
        if connecting.done():
            with nats_errors(where):
                connecting.result()
            return client
        if callbacks.refused.is_set():
            raise PeerRefused(f"{where} refused the credentials: {callbacks.detail}; check FLEET_NATS_URL")
        raise PeerAway(f"{where} did not answer within {deadline_s:g} s: {callbacks.detail}; check FLEET_NATS_URL")
    finally:
        await _end(connecting, refusal)
        if not client.is_connected:
            # It may have come as far as an open socket; the library asserts that it came as far as its queue.
            with suppress(AssertionError):
                await close(client)


async def _end(*tasks: asyncio.Future[None] | asyncio.Future[Literal[True]]) -> None:
    """Cancel until all have ended: an attempt to connect that fails in that very moment swallows a cancellation."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)


async def close(client: Client, *, deadline_s: float = 2.0) -> None:
    """Flush what was published and close, without ever waiting longer than `deadline_s` for a dead peer."""
    subscriptions = list(client._subs.values())  # noqa: SLF001 - there is no other way to them
    if client.is_connected:
        await _try(client.flush, deadline_s / 2)
    await _try(client.close, deadline_s / 2)
    # With a dead peer the library gives up before it comes to the first, and does not wait for the second.
    ending = [getattr(subscription, "_wait_for_msgs_task", None) for subscription in subscriptions]
    ending.append(getattr(client, "_reconnection_task", None))
    tasks = [task for task in ending if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _try(end: Callable[[], Awaitable[None]], deadline_s: float) -> None:
    with suppress(TimeoutError, NatsError, OSError):
        async with asyncio.timeout(deadline_s):
            await end()
