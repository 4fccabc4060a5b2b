"""The harness's own NATS client leaves nothing behind, whatever became of its server."""

import asyncio
from pathlib import Path

import pytest
from nats.aio.client import Srv

from harness.errors import ServiceError
from harness.services import nats_client
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


async def test_a_connect_that_swallows_its_cancellation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the library does if an attempt fails at the very moment of the deadline: it is told again."""
    monkeypatch.setattr(nats_client, "CONNECT_WITHIN_S", 0.1)
    swallowed = 0

    class Stubborn(HarnessClient):
        async def _connect_to_server(self, _: Srv) -> None:
            nonlocal swallowed
            while swallowed < 2:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    swallowed += 1
            await asyncio.Event().wait()

    async with asyncio.timeout(10):
        with pytest.raises(ServiceError, match="no broker at nats://localhost:1"):
            async with nats_client.connecting(Stubborn(), "nats://localhost:1", "it", reconnect_every_s=1):
                pass
    assert swallowed == 2
