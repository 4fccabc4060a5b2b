"""A NATS connection of the harness: it outlives whatever a scenario does to the server, and leaves nothing behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from nats.aio.client import Client, Srv
from nats.errors import Error as NatsError

from harness.errors import ServiceError
from harness.wait import end_tasks

CONNECT_WITHIN_S: Final = 5.0


class HarnessClient(Client):
    """The library's client, which leaves connections open whose server does not greet, and goes on after its close.

    The product mends the same for itself: a witness shares no code with what it watches.
    """

    def __init__(self) -> None:
        super().__init__()
        self._attempts: set[asyncio.Task[object] | None] = set()
        self._over = False

    async def _attempt_reconnect(self) -> None:
        attempt = asyncio.current_task()
        self._attempts.add(attempt)
        try:
            await super()._attempt_reconnect()
        finally:
            self._attempts.discard(attempt)

    async def _connect_to_server(self, server: Srv) -> None:
        # A connection that is lost while it is being made has a second attempt beside the first, whose cancellation
        # the library may swallow; and a closed client may go on with either for ever. Only the newest goes on.
        attempt = asyncio.current_task()
        if attempt in self._attempts and (self._over or attempt is not self._reconnection_task):
            raise asyncio.CancelledError
        await super()._connect_to_server(server)

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        self._over = True
        await super()._close(status, do_cbs)

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
        except BaseException:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call] # the library's
            raise


@contextlib.asynccontextmanager
async def connecting(
    client: HarnessClient,
    url: str,
    who: str,
    *,
    reconnect_every_s: float,
    lost: Callable[[], Awaitable[None]] | None = None,
    back: Callable[[], Awaitable[None]] | None = None,
    error: Callable[[Exception], Awaitable[None]] | None = None,
) -> AsyncIterator[None]:
    """Connect; then it reconnects for ever. The body says what has to work besides, within the same time.

    `error` is told of errors of the connection, which are otherwise ignored: a server that goes away is what scenarios
    make, and whoever asks it then gets the error.

    Raises:
        ServiceError: no broker answers there; the client is closed then, as it is whatever else ends the body.
    """
    try:
        # Without a deadline of ours the client would try the first connect for ever, too.
        async with asyncio.timeout(CONNECT_WITHIN_S):
            connect = asyncio.create_task(
                client.connect(
                    url,
                    name=f"fleetproof {who}",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=reconnect_every_s,  # type: ignore[arg-type] # annotated int, given to sleep
                    disconnected_cb=lost,
                    reconnected_cb=back,
                    error_cb=error or _ignored,
                ),
                name=f"connect {who}",
            )
            try:
                await asyncio.shield(connect)
            finally:
                # By itself: a deadline is told once, and an attempt that fails in that moment swallows it.
                await end_tasks([connect])
            yield
    except (NatsError, OSError) as e:
        await close_client(client)
        raise ServiceError(f"{who}: no broker at {url}: {str(e) or type(e).__name__}") from e
    except BaseException:
        await close_client(client)
        raise


async def close_client(client: Client) -> None:
    """Close it, also if its server was killed: then the client gives up half way and leaves tasks behind."""
    # nats-py declares them as None, which they are not once they run; there is no other way to them.
    subscriptions = list(client._subs.values())  # noqa: SLF001 - see above
    with contextlib.suppress(OSError, NatsError):
        await client.close()
    # It may have raised while it flushed to nobody, before it came to end the first; it does not wait for the second.
    running: list[asyncio.Task[None] | None] = [getattr(each, "_wait_for_msgs_task", None) for each in subscriptions]
    running.append(getattr(client, "_reconnection_task", None))
    tasks = [task for task in running if task is not None]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _ignored(_: Exception) -> None:
    """See `connecting`."""
