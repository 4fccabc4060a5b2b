"""A server, a connection to it, one bucket, and a replica of that."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.client import JetStreamContext

from fleet.bus import buckets, connection
from fleet.bus.replica import KvReplica
from fleet.bus.tap import new_client
from fleet.bus.tests.following import fill, hurry, running
from fleet.bus.tests.servers import DEADLINE_S, Life, Server
from fleet.bus.tests.sink import BUCKET, Sink


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    server = Server(tmp_path)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@pytest.fixture
def life() -> Life:
    return Life()


@pytest.fixture
async def client(server: Server, life: Life, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    # A second in a product is an hour in a test.
    monkeypatch.setattr(connection, "_RECONNECT_WAIT_S", 0.01)
    client = await connection.connect(
        server.url, name="test", deadline_s=DEADLINE_S, listener=life.listener, client=new_client()
    )
    try:
        yield client
    finally:
        await connection.close(client)


@pytest.fixture
def js(client: Client) -> JetStreamContext:
    return client.jetstream(timeout=5)


@pytest.fixture
async def bucket(js: JetStreamContext) -> None:
    await buckets.ensure(js, BUCKET)


@pytest.fixture
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def following(client: Client, js: JetStreamContext, life: Life, sink: Sink) -> AsyncIterator[KvReplica]:
    """A replica that is current with the keys a and b; whoever uses it uses `bucket`."""
    await fill(js, ["a", "b"])
    async with running(client, js, life, sink) as followed:
        await sink.until(lambda: sink.replays == 1)
        yield followed
