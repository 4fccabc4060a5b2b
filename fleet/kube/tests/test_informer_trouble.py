"""List + watch with a server in trouble: revocable, and polite."""

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from fleet import backoff
from fleet.kube import informer, transport
from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from fleet.kube.objects import Device, decode_device
from fleet.kube.tests.conftest import PATH, FakeApi, client_of, device, page, status
from fleet.kube.tests.informing import DEADLINE_S, Sink, Start

pytestmark = pytest.mark.usefixtures("in_a_hurry")


async def test_a_watch_that_ends_at_once_is_trouble(
    api: FakeApi, sink: Sink, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts watches and ends them at once is backed off from, not asked in a loop."""
    monkeypatch.setattr(backoff, "_DELAY_S_MIN", 60)
    api.watch_answers = [web.Response]
    start()
    await sink.until(lambda: bool(sink.losses))
    assert sink.losses == ["lost: watch of devices: the server ended it at once"]


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
