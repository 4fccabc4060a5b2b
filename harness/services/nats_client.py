"""Closes a NATS connection in whatever state a scenario has left it."""

import asyncio

from nats.aio.client import Client


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
