"""HTTP over a unix socket, against peers that keep to it and peers that do not."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from fleet.agent.runtime.protocol import RuntimeAway
from fleet.agent.runtime.unix_http import UnixHttp

DEADLINE_S = 10.0
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Served:
    """A peer, what it was asked, and when its caller hung up."""

    def __init__(self, path: Path) -> None:
        self.http = UnixHttp(path)
        self.heads: list[bytes] = []
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()


@asynccontextmanager
async def serving(folder: Path, answer: bytes, *, then: str = "close") -> AsyncIterator[Served]:
    """`then`: close the connection, reset it, or stay silent until the caller leaves."""
    served = Served(folder / "s")

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            served.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
            await writer.drain()
            served.asked.set()
            if then == "silence":
                await reader.read()
                served.hung_up.set()
        writer.transport.abort() if then == "reset" else writer.close()

    async with await asyncio.start_unix_server(peer, folder / "s"):
        yield served


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (ok(b"hello"), 200, b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", 304, b""),
        (b"HTTP/1.1 500 E\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 500, b"abcde"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", 200, b"to the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ok(b"x"), 200, b"x"),
    ],
)
async def test_an_answer_is_read_however_it_is_framed(tmp_path: Path, answer: bytes, status: int, body: bytes) -> None:
    """By length, in chunks, without a body, to the end of the connection, after a 100."""
    async with serving(tmp_path, answer) as served:
        found = await served.http.call("GET", "/x?y=z")
        assert (found.status, found.body) == (status, body)
    assert served.heads[0].startswith(b"GET /x?y=z HTTP/1.1\r\n")


async def test_a_body_is_sent_with_its_length(tmp_path: Path) -> None:
    """As JSON; a request without one says nothing of it."""
    async with serving(tmp_path, ok(b"")) as served:
        await served.http.call("POST", "/x", body=b"{}")
        await served.http.call("POST", "/x")
    assert b"content-length: 2\r\n" in served.heads[0].lower()
    assert b"content-length" not in served.heads[1].lower()


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200",
        b"220 mail.example ESMTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    ],
)
async def test_what_is_no_answer_is_runtime_away(tmp_path: Path, answer: bytes, then: str) -> None:
    """Nothing of it passes for an answer, and nothing else is raised."""
    async with serving(tmp_path, answer, then=then) as served:
        with pytest.raises(RuntimeAway):
            await served.http.call("GET", "/x", timeout_s=DEADLINE_S)


@pytest.mark.parametrize("framing", [b"Content-Length: 100000000\r\n", b""])
async def test_an_answer_without_end_is_given_up(tmp_path: Path, framing: bytes) -> None:
    """At the bound, whatever length it promises."""
    answer = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + b"x" * 300_000
    async with serving(tmp_path, answer, then="silence") as served:
        with pytest.raises(RuntimeAway, match="larger than 100000 bytes"):
            await served.http.call("GET", "/x", bytes_max=100_000, timeout_s=DEADLINE_S)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome"])
async def test_a_silent_peer_costs_the_deadline_and_no_more(tmp_path: Path, answer: bytes) -> None:
    """Before the head, in it, and in the body; the peer sees the connection closed."""
    async with serving(tmp_path, answer, then="silence") as served:
        with pytest.raises(RuntimeAway, match="no answer within"):
            await served.http.call("GET", "/x", timeout_s=0.05)
        async with asyncio.timeout(DEADLINE_S):
            await served.hung_up.wait()


async def test_nobody_there_is_runtime_away(tmp_path: Path) -> None:
    """No socket, a file that is none, a socket that nobody listens on, a path that is too long."""
    (tmp_path / "file").touch()
    async with await asyncio.start_unix_server(lambda _r, _w: None, tmp_path / "dead"):
        pass
    for name in ("none", "file", "dead", "x" * 200):
        with pytest.raises(RuntimeAway):
            await UnixHttp(tmp_path / name).call("GET", "/x")


async def test_a_cancelled_call_closes_its_socket(tmp_path: Path) -> None:
    """The peer sees it."""
    async with serving(tmp_path, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", then="silence") as served:
        call = asyncio.create_task(served.http.call("GET", "/x", timeout_s=DEADLINE_S))
        await served.asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(DEADLINE_S):
            await served.hung_up.wait()


async def test_a_stream_gives_its_body_as_it_comes(tmp_path: Path) -> None:
    """Without a deadline on the body; leaving it closes the connection."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with serving(tmp_path, answer, then="silence") as served:
        async with served.http.stream("GET", "/x", accept_timeout_s=DEADLINE_S) as stream:
            assert stream.status == 200
            assert await anext(stream.chunks()) == b"abc"
        async with asyncio.timeout(DEADLINE_S):
            await served.hung_up.wait()


async def test_a_stream_that_breaks_is_runtime_away(tmp_path: Path) -> None:
    """It does not pass for one that ended."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
    async with serving(tmp_path, answer) as served, served.http.stream("GET", "/x") as stream:
        with pytest.raises(RuntimeAway):
            async for _ in stream.chunks():
                pass


async def test_a_stream_that_does_not_begin_costs_the_deadline(tmp_path: Path) -> None:
    """RuntimeAway."""
    async with serving(tmp_path, b"HTTP/1.1 200 OK\r\n", then="silence") as served:
        with pytest.raises(RuntimeAway, match="no answer within"):
            async with served.http.stream("GET", "/x", accept_timeout_s=0.05):
                pass


@pytest.mark.parametrize("error", [TimeoutError("mine"), OSError("mine"), ValueError("mine")])
async def test_an_error_of_the_streams_user_stays_what_it_is(tmp_path: Path, error: Exception) -> None:
    """Only what the peer did is mapped."""
    async with serving(tmp_path, ok(b"abc")) as served:
        with pytest.raises(type(error), match="mine"):
            async with served.http.stream("GET", "/x"):
                raise error
