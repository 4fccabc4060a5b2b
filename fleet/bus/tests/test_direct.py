"""Many keys in one request: pages of any number of keys, and each way of hearing nothing told apart."""

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from fleet.bus import api, buckets, direct, writes
from fleet.bus.entry import Entry
from fleet.bus.tests.following import consumers, fill
from fleet.bus.tests.servers import DEADLINE_S
from fleet.bus.tests.sink import BUCKET, STREAM
from fleet.errors import PeerAway, PeerRefused
from fleet.wire import kv_subject

MINE = "d1.*"


@pytest.fixture(autouse=True)
async def bucket(js: JetStreamContext) -> None:
    await buckets.ensure(js, BUCKET)


async def read(js: JetStreamContext) -> list[list[Entry]]:
    async with asyncio.timeout(DEADLINE_S):
        return [page async for page in direct.pages(js, BUCKET, MINE)]


async def test_values_and_markers_are_read_with_revision_and_time(js: JetStreamContext) -> None:
    """The last message of each key that matches, and of no other."""
    await fill(js, ["d2.a", "d1.sub.a", "d1"])
    first = await writes.put(js, BUCKET, "d1.a", b"old", expected=0)
    value = await writes.put(js, BUCKET, "d1.a", b"new", expected=first)
    marker = await writes.delete(js, BUCKET, "d1.b", expected=0)
    empty = await js.publish(kv_subject(BUCKET, "d1.c"), b"")
    stream = await api.stream(js, BUCKET)
    assert stream is not None
    [page] = await read(js)
    assert [(entry.key, entry.revision, entry.value) for entry in page] == [
        ("d1.a", value, b"new"),
        ("d1.b", marker, None),
        ("d1.c", empty.seq, b""),
    ]
    assert stream.now_s - DEADLINE_S < page[0].at_s <= page[2].at_s <= stream.now_s


@pytest.mark.parametrize("count", [64, 65, 1024, 1025, 2500])
async def test_any_number_of_keys(js: JetStreamContext, count: int) -> None:
    """In pages of 64; beyond 1,024 keys the server refuses to answer for all at once. No consumer is made."""
    await fill(js, ["d2.first", *(f"d1.k{number}" for number in range(count)), "d2.last"])
    pages = await read(js)
    assert max(map(len, pages)) == 64
    keys = [entry.key for page in pages for entry in page]
    assert len(keys) == count
    assert set(keys) == {f"d1.k{number}" for number in range(count)}
    assert await consumers(js) == 0


async def test_a_page_is_bounded_in_bytes(js: JetStreamContext) -> None:
    """20 keys of half a MiB do not come as one."""
    await fill(js, [f"d1.k{number}" for number in range(20)], size_bytes=512 * 1024)
    pages = await read(js)
    assert sum(map(len, pages)) == 20
    assert max(map(len, pages)) <= 9


async def test_a_key_that_changes_meanwhile_is_not_missed(js: JetStreamContext) -> None:
    """What is written after the first page comes at the end, with its new value."""
    await fill(js, [f"d1.k{number}" for number in range(130)])
    last: dict[str, bytes | None] = {}
    async for page in direct.pages(js, BUCKET, MINE):
        if not last:
            for key in ("d1.k129", "d1.k0"):
                await js.publish(kv_subject(BUCKET, key), b"new")
        last.update((entry.key, entry.value) for entry in page)
    assert len(last) == 130
    assert last["d1.k129"] == last["d1.k0"] == b"new"


async def test_no_such_key_is_no_page(js: JetStreamContext) -> None:
    """A bucket that has nothing for us, and one that has nothing."""
    assert await read(js) == []
    await fill(js, ["d2.a"])
    assert await read(js) == []


async def test_an_absent_bucket_is_no_answer(js: JetStreamContext) -> None:
    """Neither a bucket that does not answer directly nor one that is missing says that a key is gone."""
    stream = await api.stream(js, BUCKET)
    assert stream is not None
    await api.update(js, BUCKET, {**stream.config, "allow_direct": False})
    with pytest.raises(PeerAway, match=rf"read of {BUCKET.value} keys d1\.\*: nobody answers"):
        await read(js)
    await js.delete_stream(STREAM)
    with pytest.raises(PeerAway, match="nobody answers"):
        await read(js)


@pytest.mark.parametrize(
    ("answers", "kind", "reason"),
    [
        ([{"Status": "404", "Description": "Message Not Found"}], PeerAway, "a key changed while it was read"),
        ([{"Status": "408", "Description": "Bad Request"}], PeerRefused, "the server says 408 Bad Request"),
        ([{"Status": "413", "Description": "Too Many Results"}] * 2, PeerRefused, "413 Too Many Results"),
        ([{"Status": "500", "Description": "odd"}], PeerAway, "the server says 500 odd"),
        ([{"Status": "204", "Nats-Num-Pending": "3"}], PeerAway, "promises more and sends none"),
        ([{"Status": "204"}], PeerAway, "without Nats-Num-Pending"),
        ([{"Status": "204", "Nats-Num-Pending": "x"}], PeerAway, "no JetStream server gives"),
    ],
)
async def test_a_status_is_told_from_another(
    client: Client,
    js: JetStreamContext,
    monkeypatch: pytest.MonkeyPatch,
    *,
    answers: list[dict[str, str]],
    kind: type[Exception],
    reason: str,
) -> None:
    """404, 408, 413, 5xx and nonsense: none of them is an empty bucket."""
    left = iter(answers)

    async def ask(*_: object) -> list[Msg]:
        return [Msg(client, headers=next(left))]

    monkeypatch.setattr(direct, "_ask", ask)
    with pytest.raises(kind, match=reason):
        await read(js)


@pytest.mark.parametrize(
    "headers",
    [
        {"Nats-Sequence": "7", "Nats-Time-Stamp": "2026-11-21T12:00:00Z"},
        {"Nats-Subject": kv_subject(BUCKET, "d1.a"), "Nats-Sequence": "x", "Nats-Time-Stamp": "2026-11-21T12:00:00Z"},
        {"Nats-Subject": kv_subject(BUCKET, "d1.a"), "Nats-Sequence": "7", "Nats-Time-Stamp": "yesterday"},
    ],
)
async def test_garbage_is_no_entry(
    client: Client, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    """A message of a page that no server sends."""

    async def ask(*_: object) -> list[Msg]:
        return [Msg(client, headers=headers), Msg(client, headers={"Status": "204", "Nats-Num-Pending": "0"})]

    monkeypatch.setattr(direct, "_ask", ask)
    with pytest.raises(PeerAway, match=r"no JetStream server"):
        await read(js)


async def test_silence_is_away_and_leaves_no_subscription(
    client: Client, js: JetStreamContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody hears the request: after the deadline nothing of it is left."""
    monkeypatch.setattr(direct, "REQUEST_TIMEOUT_S", 0.05)
    monkeypatch.setattr(js, "_prefix", "nowhere")
    before = len(client._subs)
    await client.subscribe("nowhere.>")
    with pytest.raises(PeerAway, match="TimeoutError"):
        await read(js)
    assert len(client._subs) == before + 1
