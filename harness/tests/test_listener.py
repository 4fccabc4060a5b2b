"""A listener that is closed hangs up on everybody, however far it has come with them."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from harness.services.listener import Listener

DEADLINE_S = 5.0


async def echoed_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.read(100))
    writer.close()


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket() as client:
        yield client


async def said(client: socket.socket) -> bytes:
    """What is read until the other side ends it; nothing if it was reset."""
    client.setblocking(False)
    loop, heard = asyncio.get_running_loop(), b""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while data := await loop.sock_recv(client, 1000):
                heard += data
    except ConnectionResetError:
        return b""
    return heard


@pytest.mark.parametrize("turns", range(6))
async def test_whoever_came_is_hung_up_on(listening: socket.socket, client: socket.socket, turns: int) -> None:
    """Right after it connected, and so many turns of the loop later: accepted, its task made, its task begun."""
    listener = Listener(listening, echoed_once, "test")
    client.connect(listening.getsockname())
    for _ in range(turns):
        await asyncio.sleep(0)
    await listener.close()
    assert await said(client) == b""
    await listener.close()


async def test_what_was_said_last_arrives(listening: socket.socket, client: socket.socket) -> None:
    """A connection that its server closes still carries what was written; its task has ended by then."""
    listener = Listener(listening, echoed_once, "test")
    try:
        client.connect(listening.getsockname())
        client.send(b"hello")
        assert await said(client) == b"hello"
    finally:
        await listener.close()


async def test_what_its_server_leaves_open_is_ended(listening: socket.socket, client: socket.socket) -> None:
    """A server that just returns has not left its client waiting."""

    async def returned(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    listener = Listener(listening, returned, "test")
    try:
        client.connect(listening.getsockname())
        assert await said(client) == b""
    finally:
        await listener.close()


async def test_whoever_does_not_read_is_hung_up_on(listening: socket.socket, client: socket.socket) -> None:
    """What was written to it and could not leave goes no further than the listener."""
    size_bytes = 64 * 1024 * 1024
    written = asyncio.Event()

    async def told_much(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(size_bytes))
        writer.close()
        written.set()

    listener = Listener(listening, told_much, "test")
    client.connect(listening.getsockname())
    async with asyncio.timeout(DEADLINE_S):
        await written.wait()
    await listener.close()
    assert len(await said(client)) < size_bytes
