"""The witness of the custom resources, before the real API server and before one that misbehaves."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import cast

import pytest

from fleet.crds import API_VERSION
from harness.devices.tests.broker import Broker
from harness.env import Foundation
from harness.errors import ServiceError
from harness.history import Resource
from harness.observers.resources import ResourceObserver
from harness.services.kube_client import KubeAdmin, KubeApiError, KubeUnreachable
from harness.wait import wait_event, wait_for


def device(name: str, labels: dict[str, str] | None = None) -> dict[str, object]:
    spec: dict[str, object] = {"labels": labels or {}}
    return {"apiVersion": API_VERSION, "kind": "Device", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def namespace(foundation: Foundation) -> AsyncIterator[str]:
    name = f"t-{secrets.token_hex(4)}"
    await foundation.admin.create_namespace(name)
    yield name
    await foundation.admin.delete_namespace(name)


async def test_each_version_is_seen_once_drained(foundation: Foundation, broker: Broker, namespace: str) -> None:
    """Created, changed, deleted and made again: each is there on return, a deletion too."""
    observer = await ResourceObserver(foundation.admin, namespace, broker.recorder).start()

    def told() -> list[tuple[str, str, dict[str, str]]]:
        return [(r.name, r.event, dict(r.labels)) for r in broker.recorder.history().of(Resource)]

    try:
        await foundation.admin.create_many("devices", namespace, [device("d.e")])
        await foundation.admin.patch("devices", namespace, "d.e", {"spec": {"labels": {"a": "b"}}})
        await observer.drain()
        assert told() == [("d.e", "added", {}), ("d.e", "modified", {"a": "b"})]
        path = f"/apis/{API_VERSION}/namespaces/{namespace}/devices/d.e"
        await foundation.admin.request("DELETE", path)
        await observer.drain()
        assert told()[2:] == [("d.e", "deleted", {"a": "b"})]
        await foundation.admin.create_many("devices", namespace, [device("d.e")])
        await observer.drain()
        assert told()[3:] == [("d.e", "added", {})]
    finally:
        await observer.close()
        await observer.close()


class FakeAdmin:
    """Answers lists from `items` unless it is `away`; its watches show nothing, and break by `die`."""

    def __init__(self, *, lists_before_failure: int = 1_000_000) -> None:
        self.items: list[dict[str, object]] = []
        self.version = "7"
        self.away: Exception | None = None
        self.refused = asyncio.Event()
        self._died = asyncio.Event()
        self._lists = lists_before_failure

    async def list_objects(self, resource: str, _: str) -> tuple[list[dict[str, object]], str]:
        self._lists -= 1
        if self._lists < 0:
            raise KubeUnreachable("away")
        if self.away is not None:
            self.refused.set()
            raise self.away
        return (self.items if resource == "devices" else []), self.version

    async def watch(self, *_: str) -> AsyncIterator[tuple[str, dict[str, object]]]:
        yield "BOOKMARK", {}
        await self._died.wait()
        raise KubeUnreachable("the stream broke")

    def die(self) -> None:
        self._died.set()
        self._died = asyncio.Event()

    def as_admin(self) -> KubeAdmin:
        return cast("KubeAdmin", self)


def item(name: str, *, uid: str = "u", version: int = 3) -> dict[str, object]:
    return {"metadata": {"name": name, "uid": uid, "resourceVersion": str(version)}}


def seen(broker: Broker) -> list[tuple[str, str, str, str]]:
    return [(r.name, r.event, r.uid, r.resource_version) for r in broker.recorder.history().of(Resource)]


@pytest.fixture
async def fake(broker: Broker) -> AsyncIterator[tuple[FakeAdmin, ResourceObserver]]:
    admin = FakeAdmin()
    observer = await ResourceObserver(admin.as_admin(), "n", broker.recorder).start()
    yield admin, observer
    await observer.close()


async def test_half_a_start_leaves_nothing(broker: Broker) -> None:
    """If the second resource cannot be listed, the watch of the first is ended (the leak audit looks for its task)."""
    with pytest.raises(ServiceError, match="away"):
        await ResourceObserver(FakeAdmin(lists_before_failure=1).as_admin(), "n", broker.recorder).start()


async def test_what_a_broken_watch_missed_is_listed(broker: Broker, fake: tuple[FakeAdmin, ResourceObserver]) -> None:
    """Made, changed, gone, and made again under the same name: each is told from two lists alone."""
    admin, observer = fake
    admin.items = [item("a"), item("b"), item("c")]
    admin.die()
    await observer.drain()
    assert seen(broker) == [(name, "added", "u", "3") for name in "abc"]
    admin.items = [item("b", version=5), item("c", uid="v", version=6)]
    admin.die()
    await observer.drain()
    assert sorted(seen(broker)[3:]) == [
        ("a", "deleted", "u", "3"),
        ("b", "modified", "u", "5"),
        ("c", "added", "v", "6"),
        ("c", "deleted", "u", "3"),
    ]
    names = [(name, event) for name, event, _, _ in seen(broker)]
    assert names.index(("c", "deleted")) < len(names) - 1 - names[::-1].index(("c", "added"))


async def test_a_server_that_comes_back_older_is_believed(
    broker: Broker, fake: tuple[FakeAdmin, ResourceObserver]
) -> None:
    """After a restore an object has a lower version than was seen, and so has the list: that is news, not the past."""
    admin, observer = fake
    admin.items, admin.version = [item("a", version=500)], "510"
    admin.die()
    await observer.drain()
    admin.away = KubeUnreachable("away")
    admin.die()
    await wait_event("the witness to look again", admin.refused, deadline_s=5)
    with pytest.raises(KubeUnreachable, match="away"):
        await observer.drain()
    admin.away, admin.items, admin.version = None, [item("a", version=3)], "4"
    await observer.drain()
    assert seen(broker)[1:] == [("a", "modified", "u", "3")]


async def test_the_same_version_in_another_past(broker: Broker, fake: tuple[FakeAdmin, ResourceObserver]) -> None:
    """A store that went back counts on from there: one number, another content."""
    admin, _ = fake
    told: list[dict[str, str]] = []

    def shown() -> bool | None:
        return True if [r.labels for r in broker.recorder.history().of(Resource)] == told else None

    for labels in ({"a": "1"}, {"a": "2"}):
        told.append(labels)
        admin.items = [{**item("a"), "spec": {"labels": labels}}]
        admin.die()
        await wait_for(f"the witness to tell {told}", shown, deadline_s=5)


async def test_a_watch_that_shows_nothing_is_told(fake: tuple[FakeAdmin, ResourceObserver]) -> None:
    """What the list has and the watch does not show in time fails the drain by name."""
    admin, observer = fake
    admin.items = [item("a")]
    with pytest.raises(ServiceError, match=r"the watch did not show \['a'\] within 0.2 s"):
        await observer.drain(deadline_s=0.2)


@pytest.mark.parametrize("status", [404, 410, 429, 503])
async def test_what_passes_is_waited_for(broker: Broker, fake: tuple[FakeAdmin, ResourceObserver], status: int) -> None:
    """A resource that is not served, or a server that is not ready, ends no witness."""
    admin, observer = fake
    admin.away = KubeApiError("GET devices", status, "", "")
    admin.die()
    await wait_event("the witness to look again", admin.refused, deadline_s=5)
    with pytest.raises(KubeApiError):
        await observer.drain()
    admin.away, admin.items = None, [item("a")]
    await observer.drain()
    assert seen(broker) == [("a", "added", "u", "3")]


async def test_a_witness_that_was_refused_is_told(fake: tuple[FakeAdmin, ResourceObserver]) -> None:
    """It sees no more and says so at the next drain, also if that would have found nothing new."""
    admin, observer = fake
    admin.away = KubeApiError("GET devices", 403, "Forbidden", "no")
    admin.die()
    await asyncio.wait(observer._tasks, timeout=5)
    admin.away = None
    with pytest.raises(ServiceError, match=r"the watch ended: .*Forbidden"):
        await observer.drain(deadline_s=2)
