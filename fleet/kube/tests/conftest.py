"""A tiny API server whose every answer a test writes itself: faults that a real one shows once a year."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from fleet import backoff
from fleet.kube import exec_plugin
from fleet.kube.client import KubeClient
from fleet.kube.informer import Informer
from fleet.kube.login import FileLogin, Grant
from fleet.kube.objects import Device, decode_device
from fleet.kube.tests.credentials import Clock, Program
from fleet.kube.tests.informing import Sink
from fleet.kube.transport import Transport

PATH = "/apis/fleet.fleetproof.dev/v1alpha1/namespaces/ns/devices"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def device(name: str, version: int = 1, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name, "uid": f"{name}-uid", "resourceVersion": str(version)}, "spec": spec}


def page(*items: object, version: str = "100", token: str = "", remaining: int = 0) -> web.Response:
    metadata = {"resourceVersion": version, "continue": token, "remainingItemCount": remaining}
    return web.json_response({"metadata": metadata, "items": list(items)})


def status(code: int, message: str = "because") -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code)


class FakeApi:
    """Lists are answered by `lists`, one after the other, the last one again and again; watches by `events`.

    Whoever asks for one object alone wants to know how many there are: `count`.
    """

    def __init__(self) -> None:
        self.count = 0
        self.lists: list[Callable[[], web.Response]] = [page]
        self.watch_answers: list[Callable[[], web.Response]] = []
        self.list_queries: list[dict[str, str]] = []
        self.watch_queries: list[dict[str, str]] = []
        self.events: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.watching = asyncio.Event()
        self.other: Handler | None = None
        self.url = ""

    def event(self, kind: str, item: object) -> None:
        self.events.put_nowait(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def end_watch(self) -> None:
        self.events.put_nowait(None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.other is not None:
            return await self.other(request)
        query = dict(request.query)
        if query.get("limit") == "1":
            return page(*[device("one")] * min(self.count, 1), remaining=max(0, self.count - 1))
        if "watch" not in query:
            self.list_queries.append(query)
            answer = self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]
            return answer()
        self.watch_queries.append(query)
        if self.watch_answers:
            return self.watch_answers.pop(0)()
        response = web.StreamResponse()
        await response.prepare(request)
        self.watching.set()
        while (line := await self.events.get()) is not None:
            await response.write(line)
        return response


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", fake.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        await runner.cleanup()


def client_of(api: FakeApi) -> KubeClient:
    login = FileLogin(Grant(None, ssl.create_default_context()))
    return KubeClient(Transport(api.url, login, user_agent="test"), "ns")


@pytest.fixture
async def kube(api: FakeApi) -> AsyncIterator[KubeClient]:
    client = client_of(api)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
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


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(exec_plugin, "time", made)
    return made
