"""What a tap takes and what is left to the library, whatever the stream holds and however it is cut."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import ProtocolError
from nats.protocol.parser import Parser

from fleet.bus.deliveries import Deliveries, Raw
from fleet.bus.tap_parser import TapParser

Told = tuple[object, ...]
LOOKALIKES = [
    b"MSG a 1 $JS.ACK.KV_b.c.1.5.1.123.7 5\r\nhello\r\n",
    b"MSG a 1 $JS.ACK.KV_b.c.1.5.1.123.7 9\r\nhello\r\n",
    b"MSG a 1 5\r\nhello\r\n",
    b"MSG x 3 5\r\nhello\r\n",
    b"HMSG a 1 12 12\r\n",
    b"PING\r\n",
    b"\r\n",
    b"MSG",
]
OVERLONG = b"INFO " + json.dumps({"connect_urls": ["x" * 5000]}).encode() + b"\r\n"


class Recorder(Client):
    """A client that only notes what it is told, in one list with what the taps take."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.counted: list[tuple[int, int]] = []
        self.parser = TapParser(self, {b"1": self._take, b"2": self._take_other}, self._count)

    def _take(self, messages: Sequence[Raw] | Deliveries, sid: int = 1) -> None:
        self.told += [("tap", sid, *raw) for raw in messages]

    def _take_other(self, messages: Sequence[Raw] | Deliveries) -> None:
        self._take(messages, 2)

    def _count(self, messages: int, size_bytes: int) -> None:
        self.counted.append((messages, size_bytes))

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.told.append(("msg", sid, subject, reply, data, headers))

    async def _process_err(self, err_msg: str) -> None:
        self.told.append(("err", err_msg))
        if "stale" in err_msg:
            self.parser.reset()

    async def _process_ping(self) -> None:
        self.told.append(("ping",))

    async def _process_pong(self) -> None:
        self.told.append(("pong",))

    async def _process_info(self, info: dict[str, object], initial_connection: bool = False) -> None:
        self.told.append(("info", info, initial_connection))

    @property
    def total(self) -> tuple[int, int]:
        """Messages and bytes, of all that was counted."""
        return sum(messages for messages, _ in self.counted), sum(size for _, size in self.counted)

    async def read(self, *chunks: bytes) -> list[Told]:
        """Feed the parser; return what was told since the last time."""
        for chunk in chunks:
            await self.parser.parse(chunk)
        told, self.told = self.told, []
        return told


def msg(payload: bytes = b"hello", *, subject: bytes = b"a.b", sid: int = 1, reply: bytes = b"") -> bytes:
    between = b" %s " % reply if reply else b" "
    return b"MSG %s %d%s%d\r\n%s\r\n" % (subject, sid, between, len(payload), payload)


def hmsg(payload: bytes = b"", *, block: bytes = b"", sid: int = 1, reply: bytes = b"") -> bytes:
    headers = b"NATS/1.0\r\n%s\r\n" % block
    between = b" %s " % reply if reply else b" "
    sizes = (len(headers), len(headers) + len(payload))
    return b"HMSG a.b %d%s%d %d\r\n%s%s\r\n" % (sid, between, *sizes, headers, payload)


def taken(payload: bytes = b"hello", *, sid: int = 1, reply: bytes = b"") -> Told:
    """What a tap is told of `msg(...)`."""
    return ("tap", sid, b"a.b", reply, payload, None)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    borders = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[begin:end] for begin, end in pairwise(borders)]


async def as_the_library_does(stream: bytes) -> list[Told]:
    """Give the library's own parser the whole stream."""
    recorder = Recorder()
    await Parser(recorder).parse(stream)
    return in_the_end(recorder.told)


def in_the_end(told: Iterable[Told]) -> list[Told]:
    """What the library is left of a tapped subscription comes to the tap through the client (see `TappedClient`)."""
    return [("tap", *rest) if kind == "msg" and rest[0] in {1, 2} else (kind, *rest) for kind, *rest in told]


sids = st.sampled_from([1, 1, 2, 3, 11])
deliveries = [b"$JS.ACK.KV_b.c.1.5.1.123.7", b"$JS.ACK.KV_b.c.1.6.2.124.0"]
replies = st.sampled_from(
    [b"", b"_INBOX.x", b"7", b"$JS.ACK.1.2", b"$JS.ACK.KV_b.c.2.5.1.123.7", *deliveries, *deliveries]
)
payloads = st.one_of(st.just(b""), st.binary(max_size=40), st.lists(st.sampled_from(LOOKALIKES)).map(b"".join))
subjects = st.sampled_from([b"a", b"$KV.device-state.state.d1.web", b"MSG", b"9"])
blocks = st.sampled_from([b"", b"K: v\r\n", b"K: MSG a 1 5\r\n"])
units = st.one_of(
    st.builds(msg, payloads, subject=subjects, sid=sids, reply=replies),
    st.builds(hmsg, payloads, block=blocks, sid=sids, reply=replies),
    st.sampled_from([b"PING\r\n", b"PONG\r\n", b"+OK\r\n", b"PING  \r\n", b"-ERR 'Permissions Violation'\r\n"]),
    st.sampled_from([b'INFO {"server_id":"x","port":4222}\r\n', b'INFO {"ldm":true} \r\n']),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(units, max_size=12).map(b"".join), st.lists(st.integers(min_value=0), max_size=30))
@example(msg() + msg(sid=2) + msg(sid=3) + hmsg() + msg(b"PING\r\n") + b"PING\r\n", [])
@example(msg(b"") + OVERLONG + msg(), [40])
async def test_any_stream_in_any_chunks(stream: bytes, places: list[int]) -> None:
    """Taps get theirs, the library gets all else, in the order of the stream, as the library alone would tell it."""
    recorder = Recorder()
    assert in_the_end(await recorder.read(*cut(stream, places))) == await as_the_library_does(stream)
    assert recorder.parser._rest == b""


@given(st.lists(units, max_size=12).map(b"".join), st.lists(st.integers(min_value=0), max_size=30))
async def test_what_is_handed_over_is_counted(stream: bytes, places: list[int]) -> None:
    """Messages and the bytes of their payloads; those that go through the client are the client's to count."""
    recorder = Recorder()
    told = [told for told in await recorder.read(*cut(stream, places)) if told[0] == "tap"]
    assert recorder.total == (len(told), sum(len(payload) for *_, payload, _ in told if isinstance(payload, bytes)))


async def test_a_chunk_is_one_call() -> None:
    """Neighbours go to their tap together: a replay brings them by the hundred thousand."""
    recorder = Recorder()
    calls: list[int] = []
    recorder.parser._taps = {b"1": lambda messages: calls.append(len(messages))}
    delivery = msg(reply=b"$JS.ACK.KV_b.c.1.5.1.123.7")
    await recorder.read(delivery * 3 + msg(sid=3) + delivery * 2 + hmsg(sid=3) + delivery)
    assert calls == [3, 2, 1]
    assert recorder.counted == [(3, 15), (2, 10), (1, 5)]


async def test_deliveries_with_headers_are_taken_together() -> None:
    """As keys are that somebody wrote with a fence; what has no headers is another call."""
    recorder = Recorder()
    calls: list[int] = []
    recorder.parser._taps = {b"1": lambda messages: calls.append(len(messages))}
    reply = b"$JS.ACK.KV_b.c.1.5.1.123.7"
    fenced = hmsg(b"hello", block=b"Nats-Expected-Last-Subject-Sequence: 5\r\n", reply=reply)
    assert await recorder.read(fenced * 3 + msg(reply=reply) + fenced * 2) == []
    assert calls == [3, 1, 2]
    assert recorder.counted == [(3, 15), (1, 5), (2, 10)]


async def test_a_tap_that_is_taken_away_gets_no_more() -> None:
    """Between two chunks, even in the middle of a message."""
    recorder = Recorder()
    recorder.parser._taps = taps = {b"1": recorder._take}
    assert await recorder.read(msg() + msg()[:-3]) == [taken()]
    del taps[b"1"]
    assert await recorder.read(msg()[-3:]) == [("msg", 1, b"a.b", b"", b"hello", None)]
    assert recorder.counted == [(1, 5)]


async def test_another_connection_begins_afresh() -> None:
    """What the last one left, half a message, is not put before the next one's bytes."""
    recorder = Recorder()
    assert await recorder.read(msg() + msg()[:-3]) == [taken()]
    recorder.parser.reset()
    assert await recorder.read(b"PING\r\n" + msg()) == [("ping",), taken()]


@pytest.mark.parametrize("after", [b"", msg(), b"PING\r\n", msg(sid=3) + msg()[:9]])
async def test_a_connection_that_ends_in_the_middle_of_a_chunk(after: bytes) -> None:
    """An error that makes the client reset its parser: what follows in that chunk is the old connection's, and goes."""
    recorder = Recorder()
    stale = b"-ERR 'Stale Connection'\r\n"
    assert await recorder.read(msg()[:5], msg()[5:] + stale + after) == [taken(), ("err", "'stale connection'")]
    assert await recorder.read(msg(sid=2), b"PONG\r\n") == [taken(sid=2), ("pong",)]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param([b"MSG  a.b 3  5\r\nhello\r\n"], id="two spaces"),
        pytest.param([b"MSG\ta.b\t3\t5\r\nhello\r\n"], id="tabs"),
        pytest.param([b"HMSG a.b 3 12  17\r\nNATS/1.0\r\n\r\nhello\r\n"], id="headers and two spaces"),
        pytest.param([b"MSG a.b 3 00000000005\r\nhello\r\n"], id="more digits than a size has"),
        pytest.param([OVERLONG[:4096], OVERLONG[4096:4100], OVERLONG[4100:]], id="an endless line"),
    ],
)
async def test_what_no_server_writes_is_the_librarys_until_the_next_connection(odd: list[bytes]) -> None:
    """The line, in one piece or cut, and all that follows: messages of tapped subscriptions pass the client then."""
    recorder = Recorder()
    ordinary = await as_the_library_does(b"".join(odd))
    assert len(ordinary) == 1
    assert await recorder.read(msg() + odd[0], *odd[1:]) == [taken(), *ordinary]
    through_the_client = ("msg", 1, b"a.b", b"r", b"hello", None)
    assert await recorder.read(msg(reply=b"r"), b"PING\r\n") == [through_the_client, ("ping",)]
    assert recorder.total == (1, 5)
    recorder.parser.reset()
    assert await recorder.read(msg(reply=b"r"), b"PING\r\n") == [taken(reply=b"r"), ("ping",)]


async def test_a_connection_that_ends_while_all_is_the_librarys() -> None:
    """The rest of its chunk goes, and the next connection's messages are the taps' again."""
    recorder = Recorder()
    told = await recorder.read(b"MSG  a.b 3 5\r\nhello\r\n-ERR 'Stale Connection'\r\n" + msg())
    assert [kind for kind, *_ in told] == ["msg", "err"]
    assert await recorder.read(msg()) == [taken()]


async def test_a_long_line_that_may_still_end_is_waited_for() -> None:
    """Up to the length that a server's lines have; with its end there, it is one unit, and taps go on."""
    recorder = Recorder()
    assert await recorder.read(OVERLONG[:4096]) == []
    assert [told[0] for told in await recorder.read(OVERLONG[4096:] + msg())] == ["info", "tap"]


@pytest.mark.parametrize("line", [b"nonsense\r\n", b"\r\n", b"MSGS 1 2 3\r\n"])
async def test_what_is_no_protocol_is_refused_by_the_library(line: bytes) -> None:
    """In its own words, after what came before it."""
    recorder = Recorder()
    with pytest.raises(ProtocolError, match="protocol error"):
        await recorder.read(msg() + line + msg())
    assert recorder.told == [taken()]


@pytest.mark.parametrize("end", [b"-ERR 'Stale Connection'\r\n", b"nonsense\r\n"])
async def test_what_was_handed_over_is_counted_when_the_connection_ends(end: bytes) -> None:
    """Whatever ends the chunk in its middle, the messages before it came in."""
    recorder = Recorder()
    with suppress(ProtocolError):
        await recorder.read(msg() + end)
    assert recorder.total == (1, 5)
