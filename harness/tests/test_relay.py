"""The relay is a witness: it counts what it carries, tells who ended a connection, and changes nothing on the way."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from harness.history import LinkEnd, Recorder
from harness.services.relay import Relay
from harness.wait import wait_for

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
DEADLINE_S = 5.0


class Upstream:
    """A server that hands out its connections."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Streams] = asyncio.Queue()
        self.address = ""

    async def next(self) -> Streams:
        return await asyncio.wait_for(self.accepted.get(), DEADLINE_S)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream()
    writers: list[asyncio.StreamWriter] = []

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        upstream.accepted.put_nowait((reader, writer))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    upstream.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield upstream
    for writer in writers:
        writer.transport.abort()
    server.close()


@pytest.fixture
async def relay(upstream: Upstream, recorder: Recorder) -> AsyncIterator[Relay]:
    async with Relay("link", upstream.address, recorder) as relay:
        yield relay


Connect = Callable[[Relay], Awaitable[Streams]]


@pytest.fixture
async def connected() -> AsyncIterator[Connect]:
    """Opens connections through a relay, and ends them after the test."""
    writers: list[asyncio.StreamWriter] = []

    async def connect(relay: Relay) -> Streams:
        host, _, port = relay.listen.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.transport.abort()


async def ends(recorder: Recorder, count: int) -> list[LinkEnd]:
    def probe() -> list[LinkEnd] | None:
        found = recorder.history().of(LinkEnd)
        return found if len(found) >= count else None

    return await wait_for("the relay to tell of the end", probe, deadline_s=DEADLINE_S)


async def test_counts_what_it_brings_to_each_client(
    relay: Relay, upstream: Upstream, recorder: Recorder, connected: Connect
) -> None:
    """Apart for each connection, and only that way; an end by the server is passed on after all that it sent."""
    (reader, writer), (other, _) = await connected(relay), await connected(relay)
    from_client, to_client = await upstream.next()
    await upstream.next()
    writer.write(b"question")
    assert await from_client.readexactly(8) == b"question"
    to_client.write(b"x" * 100_000)
    to_client.close()
    assert len(await reader.read()) == 100_000
    assert relay.carried_bytes == [100_000, 0]
    end = (await ends(recorder, 1))[0]
    assert (end.link, end.ordinal, end.carried_bytes, end.by) == ("link", 1, 100_000, "server")
    assert not other.at_eof()


@pytest.mark.parametrize("by", ["client", "server"])
async def test_a_reset_is_passed_on_as_a_reset(
    relay: Relay, upstream: Upstream, recorder: Recorder, connected: Connect, by: str
) -> None:
    """Whoever did it, and it is told who."""
    reader, writer = await connected(relay)
    from_client, to_client = await upstream.next()
    one, others_reader = (writer, from_client) if by == "client" else (to_client, reader)
    one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.transport.abort()
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(DEADLINE_S):
            await others_reader.read()
    assert [end.by for end in await ends(recorder, 1)] == [by]


async def test_nobody_behind_it(recorder: Recorder, connected: Connect) -> None:
    """A server that is not there resets, as if it was asked itself."""
    async with Relay("link", "127.0.0.1:1", recorder) as relay:
        reader, _ = await connected(relay)
        with pytest.raises(ConnectionResetError):
            async with asyncio.timeout(DEADLINE_S):
                await reader.read()
    assert [end.by for end in recorder.history().of(LinkEnd)] == ["server"]


async def test_it_takes_its_connections_along(upstream: Upstream, recorder: Recorder, connected: Connect) -> None:
    """What is open when it closes is reset, and its tasks are over."""
    async with Relay("link", upstream.address, recorder) as relay:
        reader, _ = await connected(relay)
        await upstream.next()
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(DEADLINE_S):
            await reader.read()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "relay link"]
