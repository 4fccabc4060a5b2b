"""A real toxiproxy: a cut closes what is open and refuses what is new; toxics come and go; errors are clear."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.services.ports import HOST, own_ports
from harness.services.toxiproxy import Proxy, Toxiproxy, ToxiproxyError
from harness.services.warden import Warden


@pytest.fixture
async def toxiproxy(toxiproxy_binary: Path, tmp_path: Path, warden: Warden) -> AsyncIterator[Toxiproxy]:
    server = await Toxiproxy.start(toxiproxy_binary, tmp_path / "toxiproxy", warden=warden)
    yield server
    await server.stop()
    await server.stop()


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """host:port of a server that sends back every line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with server:
        yield f"{HOST}:{server.sockets[0].getsockname()[1]}"


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = proxy.listen.split(":")
    return await asyncio.open_connection(host, int(port))


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    async with asyncio.timeout(10):
        return await reader.readline()


async def test_cut_closes_and_refuses_and_heals_on_the_same_port(toxiproxy: Toxiproxy, echo: str) -> None:
    """An open connection ends, a new one is refused; enabled again, the same address works."""
    proxy = await toxiproxy.create("broker", echo)
    reader, writer = await connect(proxy)
    assert await ask(reader, writer) == b"hello\n"
    await proxy.disable()
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.enable()
    reader, writer = await connect(proxy)
    assert await ask(reader, writer) == b"hello\n"
    writer.close()


async def test_toxic_bites_until_it_is_removed(toxiproxy: Toxiproxy, echo: str) -> None:
    """300 ms of latency are there with the toxic and gone without it."""
    proxy = await toxiproxy.create("slow", echo)
    reader, writer = await connect(proxy)
    await proxy.add_toxic("lag", "latency", attributes={"latency": 300})
    began = time.monotonic()
    await ask(reader, writer)
    assert time.monotonic() - began >= 0.3
    await proxy.remove_toxic("lag")
    began = time.monotonic()
    await ask(reader, writer)
    assert time.monotonic() - began < 0.3
    writer.close()


async def test_deleted_proxy_gives_its_port_back(toxiproxy: Toxiproxy, echo: str) -> None:
    """After delete nothing listens and nothing is leased; a second delete is no error."""
    proxy = await toxiproxy.create("gone", echo)
    port = int(proxy.listen.split(":")[1])
    assert port in own_ports()
    await proxy.delete()
    await proxy.delete()
    assert port not in own_ports()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)


async def test_refusal_is_one_clear_line_with_its_status(toxiproxy: Toxiproxy, echo: str) -> None:
    """A name that is taken and a toxic that does not exist are told in the server's words."""
    proxy = await toxiproxy.create("one", echo)
    before = own_ports()
    with pytest.raises(ToxiproxyError, match=r"POST /proxies: 409: .*already exists") as caught:
        await toxiproxy.create("one", echo)
    assert caught.value.status == 409
    assert own_ports() == before
    with pytest.raises(ToxiproxyError, match=r"400: .*invalid toxic type"):
        await proxy.add_toxic("x", "no-such-kind")


async def test_dead_server_is_no_answer(toxiproxy: Toxiproxy) -> None:
    """Calls to a killed toxiproxy fail at once and say so."""
    await toxiproxy.process.kill()
    with pytest.raises(ToxiproxyError, match="GET /version: no answer") as caught:
        await toxiproxy.version()
    assert caught.value.status == 0


async def test_version_is_told(toxiproxy: Toxiproxy) -> None:
    """The version is the server's own."""
    assert (await toxiproxy.version()).startswith("2.")


async def test_server_that_cannot_start_leaves_nothing(tmp_path: Path, warden: Warden) -> None:
    """A program that ends at once is told with its last words; no port stays leased."""
    before = own_ports()
    with pytest.raises(ServiceError, match="toxiproxy exited with 1"):
        await Toxiproxy.start(Path("/bin/false"), tmp_path / "toxiproxy", warden=warden)
    with pytest.raises(ServiceError, match="cannot be started"):
        await Toxiproxy.start(tmp_path / "none", tmp_path / "toxiproxy", warden=warden)
    assert own_ports() == before
