"""A NATS connection of the harness: it outlives whatever a scenario does to the server, and leaves nothing behind."""

import asyncio

from nats.aio.client import Client


class HarnessClient(Client):
    """The library's client, which leaves a connection open whose server does not greet (a proxy before a dead one)."""

    async def _process_connect_init(self) -> None:
        try:
            await super()._process_connect_init()
        except BaseException:
            if self._transport is not None:
                self._transport.close()  # type: ignore[no-untyped-call] # the library's
            raise


async def close_client(client: Client) -> None:
    """Close it, also if its server was killed: then the client gives up half way and leaves tasks behind."""
    try:
        await client.close()
    except OSError:
        # It raised while it flushed to nobody, before it came to end its subscriptions.
        subscriptions = list(client._subs.values())  # noqa: SLF001 - there is no other way to them
        tasks: list[asyncio.Task[None]] = []
        for subscription in subscriptions:
            # nats-py declares it as None, which it is not once a callback is there.
            task: asyncio.Task[None] | None = getattr(subscription, "_wait_for_msgs_task", None)
            if task is not None:
                tasks.append(task)
        for running in tasks:
            running.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
