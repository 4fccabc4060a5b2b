"""The client library's connection, which by itself leaves sockets open and goes on after its close."""

import asyncio

from nats.aio.client import Client, Srv


class SteadyClient(Client):
    """At most one attempt to reconnect at a time, none after the close, and no socket left of any."""

    def __init__(self) -> None:
        super().__init__()
        self._attempts: set[asyncio.Task[object] | None] = set()
        self._over = False

    async def _process_connect_init(self) -> None:
        # After a failed greeting the library opens the next socket and forgets this one, which a peer that accepts
        # and says nothing keeps open: an attempt every few seconds uses them all up.
        try:
            await super()._process_connect_init()
        except BaseException:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call] # the library's
            raise

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
