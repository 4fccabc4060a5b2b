"""List + watch: complete, revocable, and polite to a server in trouble."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from fleet import backoff
from fleet.errors import PeerRefused, WireError
from fleet.kube import informer, transport
from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from fleet.kube.objects import Device, decode_device
from fleet.kube.tests.conftest import DEADLINE_S, PATH, FakeApi, client_of, device, page, status


class Sink:
    """Writes down what it is told; `until` waits for it."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.items: dict[str, Device] = {}
        self.expected: list[int] = []
        self._news = asyncio.Event()

    def note(self, line: str) -> None:
        self.log.append(line)
        self._news.set()

    def replay_started(self) -> None:
        self.note("replay_started")

    def expecting(self, count: int) -> None:
        self.expected.append(count)

    def upsert(self, item: Device) -> None:
        self.items[item.name] = item
        self.note(f"+{item.name}@{item.resource_version}")

    def removed(self, name: str) -> None:
        self.items.pop(name, None)
        self.note(f"-{name}")

    def malformed(self, name: str, reason: str) -> None:
        assert "\n" not in reason
        self.note(f"?{name}")

    def replayed(self) -> None:
        self.note("replayed")

    def lost(self, reason: str) -> None:
        self.note(f"lost: {reason}")

    @property
    def losses(self) -> list[str]:
        return [line for line in self.log if line.startswith("lost: ")]

    async def until(self, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pytest.fail(f"not within {deadline_s:g} s: {self.log[-20:]}")

    async def until_said(self, line: str, times: int = 1) -> None:
        await self.until(lambda: self.log.count(line) >= times)


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry in milliseconds."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 0.001)
    monkeypatch.setattr(backoff, "_DELAY_S_MAX", 0.01)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def following(kube: KubeClient, sink: Sink) -> AsyncIterator[Callable[[], Informer[Device]]]:
    """Start following; ends it after the test, which fails if the informer ended by itself."""
    tasks: list[asyncio.Task[None]] = []

    def go() -> Informer[Device]:
        made = Informer(kube, "devices", decode_device, sink)
        tasks.append(asyncio.create_task(made.run()))
        return made

    yield go
    for task in tasks:
        assert not task.done(), task.exception()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def start(following: Callable[[], Informer[Device]]) -> Callable[[], None]:
    def go() -> None:
        following()

    return go


Start = Callable[[], None]
Following = Callable[[], Informer[Device]]


async def test_an_empty_list_is_current_at_once(api: FakeApi, sink: Sink, start: Start) -> None:
    """Nothing there: current as soon as the watch is open, from the version of the list."""
    start()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "replayed"]
    assert sink.expected == [0]
    (query,) = api.watch_queries
    assert query["resourceVersion"] == "100"
    assert query["allowWatchBookmarks"] == "true"


async def test_all_pages_are_read(api: FakeApi, sink: Sink, start: Start) -> None:
    """Pages follow their token; what is expected is known from the first one."""
    api.lists = [
        lambda: page(device("a"), device("b"), token="t1", remaining=1),  # noqa: S106 - a page token
        lambda: page(device("c")),
    ]
    start()
    await sink.until_said("replayed")
    assert set(sink.items) == {"a", "b", "c"}
    assert sink.expected == [3, 3]
    assert [q.get("continue") for q in api.list_queries] == [None, "t1"]


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


async def test_a_watch_that_ends_at_once_is_trouble(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts watches and ends them at once is backed off from, not asked in a loop."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 60)
    api.watch_answers = [web.Response]
    start()
    await sink.until(lambda: bool(sink.losses))
    assert sink.losses == ["lost: watch of devices: the server ended it at once"]


@pytest.mark.rule("R4")
async def test_a_list_that_expires_starts_again(api: FakeApi, sink: Sink, start: Start) -> None:
    """410 in the middle of the pages: `lost`, then page one; what vanished in between is not kept."""
    api.lists = [
        lambda: page(device("a"), token="t1"),  # noqa: S106 - a page token
        lambda: status(410, "continue token expired"),
        lambda: page(device("b"), version="200"),
    ]
    start()
    await sink.until_said("replayed")
    assert set(sink.items) == {"b"}
    assert sink.log == [
        "replay_started",
        "+a@1",
        f"lost: GET {PATH}: {api.url}: 410 continue token expired",
        "replay_started",
        "+b@1",
        "-a",
        "replayed",
    ]
    assert "continue" not in api.list_queries[2]


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


async def test_a_watch_that_is_refused_lists_again(api: FakeApi, sink: Sink, start: Start) -> None:
    """A token that was revoked between list and watch: lost with the server's words, and tried again."""
    api.watch_answers = [lambda: status(401, "Unauthorized")]
    start()
    await sink.until_said("replayed")
    assert sink.losses == [f"lost: GET {PATH}: {api.url}: 401 Unauthorized"]
    assert len(api.list_queries) == 2


async def test_a_broken_watch_lists_again(api: FakeApi, sink: Sink, start: Start) -> None:
    """After a break it is current only with a new list: a resumed watch would not say when it has caught up."""
    api.lists = [lambda: page(device("a")), lambda: page(device("b"), version="300")]
    start()
    await sink.until_said("replayed")
    api.events.put_nowait(b"{ this is no event\n")
    await sink.until_said("replayed", times=2)
    assert sink.log[2:] == ["replayed", sink.losses[0], "replay_started", "+b@1", "-a", "replayed"]
    assert "the server sent garbage" in sink.losses[0]


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"type": "ADDED", "object": 3}\n',
        b'{"type": "ADDED", "object": {"metadata": {"name": 7}}}\n',
        b'{"type": "ADDED", "object": {"metadata": {"name": "a"}}}\n',
        b'{"type": "WHAT", "object": {"metadata": {"resourceVersion": "1"}}}\n',
        b'{"type": "WHAT", "object": {"metadata": {"name": "a", "uid": "u", "resourceVersion": "1"}}}\n',
        b'{"type": "ADDED", "object": {"metadata": {"name": "a", "uid": "u", "resourceVersion": ""}}}\n',
        b'{"type": "ERROR", "object": {"metadata": {}, "code": 500, "message": "etcd"}}\n',
        b'{"type": "ADDED", "object": {"metadata": {"name": "\xff", "uid": "u", "resourceVersion": "1"}}}\n',
        pytest.param(b'{"type": "ADDED", "object": {"deep": ' + b"[" * 100_000 + b"\n", id="too-deep"),
    ],
)
async def test_garbage_in_a_watch_is_trouble(api: FakeApi, sink: Sink, start: Start, line: bytes) -> None:
    """Whatever comes instead of an event, it is lost and listed again; it does not crash."""
    start()
    await sink.until_said("replayed")
    api.events.put_nowait(line)
    await sink.until_said("replayed", times=2)
    assert len(sink.losses) == 1


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(text="<html>login</html>"),
        lambda: web.Response(body=b"\xff"),
        lambda: web.json_response({"items": []}),
        lambda: web.json_response({"metadata": {"resourceVersion": ""}, "items": []}),
        lambda: web.json_response({"metadata": {"resourceVersion": "1"}, "items": [3]}),
        lambda: status(500, "etcdserver: leader changed"),
        lambda: status(429, "too many requests"),
        lambda: status(401, "Unauthorized"),
        lambda: status(403, "forbidden"),
        lambda: web.Response(status=302, headers={"Location": "/login"}),
    ],
)
async def test_a_list_that_fails_is_tried_again(
    api: FakeApi, sink: Sink, start: Start, answer: Callable[[], web.Response]
) -> None:
    """Garbage, refusals and redirects: `lost` with a reason, and current once the server answers."""
    api.lists = [answer, lambda: page(device("a"))]
    start()
    await sink.until_said("replayed")
    assert len(sink.losses) == 1
    assert set(sink.items) == {"a"}


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


async def test_a_silent_watch_is_lost(api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event and no bookmark for too long is a dead connection."""
    monkeypatch.setattr(informer, "_WATCH_S_MIN", 0)
    monkeypatch.setattr(informer, "_WATCH_S_MAX", 0)
    monkeypatch.setattr(informer, "_LATE_S_MAX", 0.05)
    start()
    await sink.until(lambda: bool(sink.losses))
    await sink.until(lambda: len(api.watch_queries) > 1)
    assert "imeout" in sink.losses[0]


async def test_an_endless_line_is_trouble(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that never ends a line does not fill our memory."""
    monkeypatch.setattr("fleet.kube.transport._LINE_BYTES_MAX", 1000)
    start()
    await sink.until_said("replayed")
    api.events.put_nowait(b"x" * 2000)
    await sink.until(lambda: bool(sink.losses))
    assert "a line of over 1000 bytes" in sink.losses[0]


async def test_a_large_event_arrives_whole(api: FakeApi, sink: Sink, start: Start) -> None:
    """A line is put together from as many pieces as it came in."""
    start()
    await sink.until_said("replayed")
    line = json.dumps({"type": "ADDED", "object": device("a", 101, labels={"x": "y" * 300_000})}).encode() + b"\n"
    for piece in (line[:10], line[10:200_000], line[200_000:] + line[:5], line[5:]):
        api.events.put_nowait(piece)
    await sink.until_said("+a@101", times=2)
    assert not sink.losses


async def test_a_server_in_trouble_is_not_hammered(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While every list is answered with 500 the waits grow to their ceiling: a handful of requests, not hundreds."""
    monkeypatch.undo()
    waits: list[float] = []
    sleep = asyncio.sleep

    async def short(delay_s: float) -> None:
        waits.append(delay_s)
        await sleep(0)

    monkeypatch.setattr("random.uniform", lambda _, ceiling: ceiling)
    monkeypatch.setattr("asyncio.sleep", short)
    api.lists = [lambda: status(500)]
    start()
    await sink.until(lambda: len(sink.losses) >= 9)
    assert waits[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]


async def test_a_crash_in_the_sink_ends_the_run(api: FakeApi, kube: KubeClient, sink: Sink) -> None:
    """An exception that nobody expects is raised, not retried."""

    def crash(item: Device) -> None:
        raise ZeroDivisionError(item.name)

    sink.upsert = crash  # type: ignore[method-assign] # the fault itself
    api.lists = [lambda: page(device("a"))]
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(DEADLINE_S):
            await Informer(kube, "devices", decode_device, sink).run()


async def test_a_list_that_hangs_is_lost(api: FakeApi, sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the request and never answers is given up on, and asked again."""
    monkeypatch.setattr(transport, "REQUEST_TIMEOUT_S", 0.05)
    hanging = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await hanging.wait()
        raise AssertionError

    api.other = answer
    client = client_of(api)
    task = asyncio.create_task(Informer(client, "devices", decode_device, sink).run())
    try:
        await sink.until(lambda: len(sink.losses) > 1)
        assert "replayed" not in sink.log
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


async def test_a_watch_that_is_not_accepted_is_lost(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time a watch may be silent is not the time its acceptance may take: until then nothing is known."""
    monkeypatch.setattr(transport, "_ACCEPT_TIMEOUT_S", 0.05)
    hanging = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            await hanging.wait()
        return page(device("a"))

    api.other = answer
    start()
    await sink.until(lambda: len(sink.losses) > 1)
    assert sink.losses[0] == f"lost: GET {PATH}: {api.url}: not accepted within 0.05 s"
    assert "replayed" not in sink.log


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


async def test_a_refresh_lists_again_at_once(
    api: FakeApi, sink: Sink, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Revoked before the call returns; the watch ends, and what the new list does not show is removed."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 60)
    api.lists = [lambda: page(device("a"), device("b")), lambda: page(device("b"), version="300")]
    followed = following()
    await sink.until_said("replayed")
    followed.refresh("stood still for 5 s")
    assert sink.log[-1] == "lost: stood still for 5 s"
    await sink.until_said("replayed", times=2)
    assert sink.log[-4:] == ["replay_started", "+b@1", "-a", "replayed"]
    assert len(sink.losses) == 1


async def test_a_refresh_ends_a_list_on_its_way(api: FakeApi, sink: Sink, following: Following) -> None:
    """What began before the refresh makes nothing current, be it the list or the watch."""
    gate, asked = asyncio.Event(), asyncio.Event()
    requests: list[str] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        requests.append("watch" if "watch" in request.query else "list")
        if len(requests) == 1:
            asked.set()
            await gate.wait()
        if requests[-1] == "watch":
            api.other = None
            return await api.handle(request)
        return page(device("a"))

    api.other = answer
    followed = following()
    async with asyncio.timeout(DEADLINE_S):
        await asked.wait()
    followed.refresh("first")
    gate.set()
    followed.refresh("second")
    await sink.until_said("replayed")
    assert requests == ["list", "list", "watch"]
    assert sink.log == ["replay_started", "lost: first", "lost: second", "replay_started", "+a@1", "replayed"]


async def test_a_refresh_between_list_and_watch_holds(api: FakeApi, sink: Sink, following: Following) -> None:
    """A refresh that is asked for while a list is folded in is not undone by the watch that follows that list."""
    api.lists = [lambda: page(device("a")), lambda: page(device("b"))]
    followed = following()
    upsert = sink.upsert

    def refreshing(item: Device) -> None:
        upsert(item)
        if item.name == "a":
            followed.refresh("late")

    sink.upsert = refreshing  # type: ignore[method-assign] # the moment that is tested
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "+a@1", "lost: late", "replay_started", "+b@1", "-a", "replayed"]


async def test_a_refresh_as_the_watch_opens_holds(
    kube: KubeClient, sink: Sink, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for in the very moment in which the server accepts the watch, it is not undone by that."""
    watch = kube.watch
    refreshes = ["late"]

    @asynccontextmanager
    async def refreshing(
        resource: str, *, resource_version: str, timeout_s: int, silence_s_max: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        async with watch(
            resource, resource_version=resource_version, timeout_s=timeout_s, silence_s_max=silence_s_max
        ) as lines:
            if refreshes:
                followed.refresh(refreshes.pop())
            yield lines

    monkeypatch.setattr(kube, "watch", refreshing)
    followed = following()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "lost: late", "replay_started", "replayed"]


async def test_a_refresh_while_one_is_under_way(sink: Sink, following: Following) -> None:
    """Each is told to the sink; the second changes nothing else."""
    followed = following()
    await sink.until_said("replayed")
    followed.refresh("first")
    await asyncio.sleep(0)
    followed.refresh("second")
    await sink.until_said("replayed", times=2)
    assert sink.log[-4:] == ["lost: first", "lost: second", "replay_started", "replayed"]


async def test_a_refresh_cuts_a_wait_short(
    api: FakeApi, sink: Sink, following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits after trouble, a refresh lists at once."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 60)
    monkeypatch.setattr("random.uniform", lambda _, ceiling: ceiling)
    api.lists = [lambda: status(500), page]
    followed = following()
    await sink.until(lambda: bool(sink.losses))
    followed.refresh("stood still")
    await sink.until_said("replayed")


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
    api.lists = [lambda: page(device("a"), odd, device("B!"), device("c"))]
    start()
    await sink.until_said("replayed")
    assert sink.log == ["replay_started", "+a@1", "?odd", "?B!", "+c@1", "replayed"]
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
