"""List + watch: complete, in order, of one version."""

import asyncio
import json
from functools import partial

import pytest
from aiohttp import web

from fleet.crds import API_VERSION
from fleet.errors import PeerRefused, WireError
from fleet.kube import informer, transport
from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from fleet.kube.objects import Device, decode_device
from fleet.kube.pieces import pieces
from fleet.kube.tests.conftest import PATH, FakeApi, device, page, status
from fleet.kube.tests.informing import Sink, Start

pytestmark = pytest.mark.usefixtures("in_a_hurry")


async def test_an_empty_list_is_current_at_once(api: FakeApi, sink: Sink, start: Start) -> None:
    """Nothing there: current as soon as the watch is open, from the version of the list."""
    start()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "replayed"]
    assert sink.expected == [0]
    (query,) = api.watch_queries
    assert query["resourceVersion"] == "100"
    assert query["allowWatchBookmarks"] == "true"


async def test_a_list_is_one_answer(api: FakeApi, sink: Sink, start: Start) -> None:
    """Of no version that is asked for, which makes it the newest one; how many there are is asked before."""
    api.count = 3
    api.lists = [lambda: page(device("a"), device("b"), device("c"))]
    start()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "+a@1", "+b@1", "+c@1", "replayed"]
    assert sink.expected == [3]
    assert api.list_queries == [{}]


@pytest.mark.parametrize("metadata_first", [False, True])
async def test_a_list_is_read_in_pieces(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch, *, metadata_first: bool
) -> None:
    """Whatever the length of a piece, and wherever the server writes the metadata."""
    monkeypatch.setattr(informer, "pieces", partial(pieces, size_bytes=1))
    names = [f"d{number}" for number in range(50)]
    metadata = {"metadata": {"resourceVersion": "70"}}
    items = {"items": [{"apiVersion": API_VERSION, "kind": "Device"} | device(name) for name in names]}
    body = json.dumps(metadata | items if metadata_first else items | metadata, separators=(",", ":"))
    api.lists = [lambda: web.Response(text=body)]
    start()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", *[f"+{name}@1" for name in names], "replayed"]
    assert api.watch_queries[0]["resourceVersion"] == "70"


async def test_after_a_list_that_broke_off_pages_are_asked_for(api: FakeApi, sink: Sink, start: Start) -> None:
    """A server may be unable to write all in its time: page after page it can. The list after that is whole again."""
    api.lists = [
        lambda: web.Response(text='{"items":[{"metadata":{"name":"a"'),
        lambda: page(device("a"), device("b"), token="t1"),  # noqa: S106 - a page token
        lambda: page(device("c")),
        lambda: page(device("c")),
    ]
    start()
    await sink.until_said("replayed")
    assert set(sink.items) == {"a", "b", "c"}
    assert [(q.get("limit"), q.get("continue")) for q in api.list_queries] == [
        (None, None),
        ("500", None),
        ("500", "t1"),
    ]
    api.event("ERROR", {"metadata": {}, "code": 410})
    await sink.until_said("replayed", times=2)
    assert set(sink.items) == {"c"}
    assert api.list_queries[3:] == [{}]


async def test_changes_arrive_in_order(api: FakeApi, sink: Sink, start: Start) -> None:
    """Added, modified, deleted, and a bookmark that only moves the version on."""
    start()
    await sink.until_said("replayed")
    api.event("ADDED", device("a", 101))
    api.event("MODIFIED", device("a", 102))
    api.event("BOOKMARK", {"metadata": {"resourceVersion": "150"}})
    api.event("DELETED", device("a", 151))
    await sink.until_said("-a")
    assert sink.log[2:] == ["+a@101", "+a@102", "-a"]


async def test_a_watch_that_ends_in_good_order_goes_on(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's time limit is no trouble: the next watch starts where the last event or bookmark was."""
    monkeypatch.setattr(informer, "_WATCH_S_SHORT", 0)
    start()
    await sink.until_said("replayed")
    api.event("BOOKMARK", {"metadata": {"resourceVersion": "150"}})
    api.end_watch()
    await sink.until_said("replayed", times=2)
    assert [q["resourceVersion"] for q in api.watch_queries] == ["100", "150"]
    assert len(api.list_queries) == 1
    assert not sink.losses


@pytest.mark.rule("R4")
async def test_a_list_that_expires_starts_again(api: FakeApi, sink: Sink, start: Start) -> None:
    """410 in the middle of the pages: `lost`, then from the start; what vanished in between is not kept."""
    api.lists = [
        lambda: status(503, "busy"),
        lambda: page(device("a"), token="t1"),  # noqa: S106 - a page token
        lambda: status(410, "continue token expired"),
        lambda: page(device("b"), version="200"),
    ]
    start()
    await sink.until_said("replayed")
    assert set(sink.items) == {"b"}
    assert sink.log == [
        "replay_started",
        f"lost: GET {PATH}: {api.url}: 503 busy",
        "replay_started",
        "+a@1",
        f"lost: GET {PATH}: {api.url}: 410 continue token expired",
        "replay_started",
        "+b@1",
        "-a",
        "replayed",
    ]
    assert "continue" not in api.list_queries[3]


@pytest.mark.rule("R4")
@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_watch_that_is_too_old_lists_again(api: FakeApi, sink: Sink, start: Start, how: str) -> None:
    """410 as the answer or as an event: a new list, and what it does not show is removed."""
    api.lists = [lambda: page(device("a"), device("b")), lambda: page(device("b"), version="300")]
    if how == "status":
        api.watch_answers = [lambda: status(410, "too old resource version")]
    start()
    if how == "event":
        await sink.until_said("replayed")
        api.event("ERROR", {"metadata": {}, "code": 410, "message": "too old resource version"})
    await sink.until(lambda: sink.log[-1:] == ["replayed"] and len(api.list_queries) == 2)
    assert "410 too old resource version" in sink.losses[0]
    assert set(sink.items) == {"b"}
    assert api.watch_queries[-1]["resourceVersion"] == "300"


async def test_a_malformed_object_keeps_the_previous_one(api: FakeApi, sink: Sink, start: Start) -> None:
    """What cannot be read was not deleted: counted, the value before stands, also over a new list."""
    api.lists = [lambda: page(device("a")), lambda: page(device("a", 7, blocked="yes"))]
    start()
    await sink.until_said("replayed")
    api.event("MODIFIED", device("a", 101, labels=3))
    api.event("MODIFIED", device("b", 102))
    await sink.until_said("+b@102")
    api.event("ERROR", {"metadata": {}, "code": 410})
    await sink.until_said("replayed", times=2)
    assert sink.log[2:5] == ["replayed", "?a", "+b@102"]
    assert sink.items["a"].resource_version == "1"
    assert "-a" not in sink.log
    assert "-b" in sink.log


async def test_a_large_event_arrives_whole(api: FakeApi, sink: Sink, start: Start) -> None:
    """A line is put together from as many pieces as it came in."""
    start()
    await sink.until_said("replayed")
    line = json.dumps({"type": "ADDED", "object": device("a", 101, labels={"x": "y" * 300_000})}).encode() + b"\n"
    for piece in (line[:10], line[10:200_000], line[200_000:] + line[:5], line[5:]):
        api.events.put_nowait(piece)
    await sink.until_said("+a@101", times=2)
    assert not sink.losses


async def test_an_accepted_watch_may_be_silent(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound on its acceptance ends with it."""
    monkeypatch.setattr(transport, "_ACCEPT_TIMEOUT_S", 0.2)
    start()
    await sink.until_said("replayed")
    asyncio.get_running_loop().call_later(0.4, api.event, "ADDED", device("a", 101))
    await sink.until_said("+a@101")
    assert not sink.losses


async def test_a_large_page_leaves_room_for_others(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others get a turn of the loop while a page is folded in, at least once per chunk."""
    monkeypatch.setattr(informer, "_CHUNK", 10)
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def upsert(_: Device) -> None:
        seen.append(turns)

    seen: list[int] = []
    sink.upsert = upsert  # type: ignore[method-assign,assignment] # what is measured
    api.lists = [lambda: page(*(device(f"d{n}") for n in range(100)))]
    task = asyncio.create_task(others())
    try:
        start()
        await sink.until_said("replayed")
    finally:
        task.cancel()
    assert len(set(seen)) == 10


async def test_a_page_with_a_malformed_object_is_read_all_the_same(api: FakeApi, sink: Sink, start: Start) -> None:
    """One object that is not of the shape, or whose name no key could hold, is named; all others arrive."""
    odd = device("odd") | {"spec": 3}
    api.count = 4
    api.lists = [lambda: page(device("a"), odd, device("B!"), device("c"))]
    start()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "+a@1", "+c@1", "?odd", "?B!", "replayed"]
    assert sink.expected == [4]


def test_the_decoder_refuses_what_the_schema_would() -> None:
    """A Device without a name is no Device."""
    with pytest.raises(WireError):
        decode_device(b"{}")


@pytest.mark.rule("R7")
async def test_a_list_that_is_not_to_be_believed_makes_nothing_current(
    api: FakeApi, sink: Sink, kube: KubeClient
) -> None:
    """Asked after each list, once the watch is open; a refusal is trouble, and listed again after."""
    refusals = [PeerRefused("another cluster"), PeerRefused("another cluster"), None]
    asked: list[int] = []

    async def check() -> None:
        asked.append(len(api.watch_queries))
        if (refusal := refusals[min(len(asked), len(refusals)) - 1]) is not None:
            raise refusal

    task = asyncio.create_task(Informer(kube, "devices", decode_device, sink, check).run())
    try:
        await sink.until_said("replayed")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert sink.losses == ["lost: another cluster"] * 2
    assert asked == [1, 2, 3]
    assert len(api.list_queries) == 3
