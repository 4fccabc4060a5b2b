"""A refresh: what is known is in doubt, and listed again at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from fleet import backoff
from fleet.kube.client import KubeClient
from fleet.kube.objects import Device
from fleet.kube.tests.conftest import FakeApi, device, page, status
from fleet.kube.tests.informing import DEADLINE_S, Following, Sink

pytestmark = pytest.mark.usefixtures("in_a_hurry")


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
        if request.query.get("limit") == "1":
            return page()
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
