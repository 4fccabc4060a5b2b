"""The harness's own NATS client leaves nothing behind, whatever became of its server."""

import asyncio
from pathlib import Path

from harness.services.nats import NatsServer
from harness.services.nats_client import HarnessClient, close_client
from harness.services.warden import Warden


async def test_a_second_attempt_ends_with_the_close(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """A connection lost while it is made has two attempts, and the library knows only the later one."""
    server = await NatsServer.start(nats_binary, tmp_path, warden=warden)
    before = asyncio.all_tasks()
    tried = asyncio.Semaphore(0)

    async def no_answer(_: Exception) -> None:
        tried.release()

    client = HarnessClient()
    await client.connect(server.url, max_reconnect_attempts=-1, error_cb=no_answer)
    await server.stop()
    earlier = asyncio.create_task(client._attempt_reconnect())
    client._reconnection_task = asyncio.create_task(client._attempt_reconnect())
    async with asyncio.timeout(10):
        for _ in range(2):
            await tried.acquire()
    await close_client(client)
    await asyncio.wait({earlier}, timeout=5)
    assert asyncio.all_tasks() == before
