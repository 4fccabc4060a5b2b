"""A real nats-server: the same server again after a kill, clear words when it cannot start."""

import asyncio
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from harness.errors import ServiceError
from harness.history import Process, Recorder
from harness.services.nats import NatsOptions, NatsServer, NatsUser
from harness.services.ports import HOST, own_ports
from harness.services.warden import Warden


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    client = await nats.connect(url, allow_reconnect=False, connect_timeout=5)
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def server(
    binary: Path, folder: Path, warden: Warden, recorder: Recorder | None = None, options: NatsOptions | None = None
) -> AsyncIterator[NatsServer]:
    running = await NatsServer.start(binary, folder, warden=warden, recorder=recorder, options=options)
    try:
        yield running
    finally:
        await running.stop()


async def test_value_survives_kill_and_restart_on_the_same_port(
    nats_binary: Path, tmp_path: Path, warden: Warden, recorder: Recorder
) -> None:
    """Killed and started again, it is the same server with the same KV value."""
    async with server(nats_binary, tmp_path / "nats", warden, recorder) as broker:
        url = broker.url
        async with connected(url) as client:
            bucket = await client.jetstream().create_key_value(bucket="kept")
            revision = await bucket.put("key", b"value")
        await broker.kill()
        await broker.restart()
        assert broker.url == url
        async with connected(url) as client:
            entry = await (await client.jetstream().key_value("kept")).get("key")
            assert (entry.value, entry.revision) == (b"value", revision)
    events = [(r.event, r.signal) for r in recorder.history().of(Process)]
    assert events[:5] == [
        ("spawned", None),
        ("ready", None),
        ("signalled", "SIGKILL"),
        ("exited", None),
        ("spawned", None),
    ]


async def test_occupied_port_is_one_clear_line(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """A stranger on its port is named by address, at once, and the server is startable again later."""
    async with server(nats_binary, tmp_path / "nats", warden) as broker:
        await broker.kill()
        with socket.socket() as stranger:
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind((HOST, broker.port))
            stranger.listen()
            with pytest.raises(ServiceError, match=rf"nats cannot start: .*{broker.port}.*address already in use"):
                await broker.restart()
        await broker.restart()
        assert broker.process.running


async def test_port_stays_leased_while_it_is_down(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """Between kill and restart nobody else is given the port; after stop it is free, and a restart refused."""
    async with server(nats_binary, tmp_path / "nats", warden) as broker:
        await broker.kill()
        assert broker.port in own_ports()
    assert broker.port not in own_ports()
    with pytest.raises(ServiceError, match="gave its ports back"):
        await broker.restart()


async def test_login_without_rights_is_refused(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """No login, no connection; a user without rights connects and may do nothing; a full one may."""
    users = (NatsUser("fleet", secrets.token_hex(8)), NatsUser("nobody", secrets.token_hex(8), rights="none"))
    async with server(nats_binary, tmp_path / "nats", warden, options=NatsOptions(users=users)) as broker:
        stranger = Client()
        with pytest.raises(nats.errors.Error, match=r"(?i)authorization"):
            await stranger.connect(broker.url, allow_reconnect=False, error_cb=_ignore)
        # A refused client of nats-py keeps its socket until it is closed.
        await stranger.close()
        refused = asyncio.Event()

        async def on_error(error: Exception) -> None:
            if "permissions violation" in str(error).lower():
                refused.set()

        poor = await nats.connect(broker.url_for("nobody"), allow_reconnect=False, error_cb=on_error)
        await poor.publish("anything", b"")
        async with asyncio.timeout(5):
            await refused.wait()
        await poor.close()
        async with connected(broker.url_for("fleet")) as client:
            await client.jetstream().create_key_value(bucket="allowed")
        with pytest.raises(ServiceError, match="no user 'ghost'"):
            broker.url_for("ghost")


async def test_options_reach_the_server(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """A smaller payload limit is what clients are told."""
    options = NatsOptions(max_payload_bytes=4096, sync_interval="always")
    async with (
        server(nats_binary, tmp_path / "nats", warden, options=options) as broker,
        connected(broker.url) as client,
    ):
        assert client.max_payload == 4096


async def test_config_is_private(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """The file with the logins is readable by its user only."""
    async with server(nats_binary, tmp_path / "nats", warden):
        assert (tmp_path / "nats" / "nats.conf").stat().st_mode & 0o777 == 0o600


async def test_server_that_cannot_start_leaves_nothing(nats_binary: Path, tmp_path: Path, warden: Warden) -> None:
    """A store that cannot be written is told in one line; no process and no port is left."""
    shutil.rmtree(tmp_path / "nats", ignore_errors=True)
    (tmp_path / "nats").mkdir()
    (tmp_path / "nats" / "jetstream").write_text("a file where a folder is due")
    before = own_ports(), warden.registered_pids
    with pytest.raises(ServiceError, match=r"nats cannot start: .*"):
        await NatsServer.start(nats_binary, tmp_path / "nats", warden=warden)
    assert (own_ports(), warden.registered_pids) == before


async def _ignore(_error: Exception) -> None:
    """The client's own log of what the test expects."""
