"""The witness of the custom resources, before the real API server and before one that misbehaves."""

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
from harness.services.kube_client import KubeAdmin, KubeUnreachable


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

    def seen() -> list[tuple[str, str, dict[str, str]]]:
        return [(r.name, r.event, dict(r.labels)) for r in broker.recorder.history().of(Resource)]

    try:
        await foundation.admin.create_many("devices", namespace, [device("d.e")])
        await foundation.admin.patch("devices", namespace, "d.e", {"spec": {"labels": {"a": "b"}}})
        await observer.drain()
        assert seen() == [("d.e", "added", {}), ("d.e", "modified", {"a": "b"})]
        path = f"/apis/{API_VERSION}/namespaces/{namespace}/devices/d.e"
        await foundation.admin.request("DELETE", path)
        await observer.drain()
        assert seen()[2:] == [("d.e", "deleted", {"a": "b"})]
        await foundation.admin.create_many("devices", namespace, [device("d.e")])
        await observer.drain()
        assert seen()[3:] == [("d.e", "added", {})]
    finally:
        await observer.close()
        await observer.close()


class FakeAdmin:
    """Answers lists from `items`; its watch shows `events` and then hangs, or breaks."""

    def __init__(self, *, lists_before_failure: int = 100, breaks: bool = False) -> None:
        self.items: list[dict[str, object]] = []
        self._lists = lists_before_failure
        self._breaks = breaks

    async def list_objects(self, resource: str, _: str) -> tuple[list[dict[str, object]], str]:
        self._lists -= 1
        if self._lists < 0:
            raise KubeUnreachable("away")
        return (self.items if resource == "devices" else []), "7"

    async def watch(self, *_: str) -> AsyncIterator[tuple[str, dict[str, object]]]:
        if self._breaks:
            raise KubeUnreachable("the stream broke")
        # It ends, as no real one does: the witness must notice that too.
        yield "BOOKMARK", {}

    def as_admin(self) -> KubeAdmin:
        return cast("KubeAdmin", self)


async def test_half_a_start_leaves_nothing(broker: Broker) -> None:
    """If the second resource cannot be listed, the watch of the first is ended (the leak audit looks for its task)."""
    with pytest.raises(ServiceError, match="away"):
        await ResourceObserver(FakeAdmin(lists_before_failure=1).as_admin(), "n", broker.recorder).start()


@pytest.mark.parametrize("breaks", [True, False])
async def test_a_watch_that_ended_is_told(broker: Broker, *, breaks: bool) -> None:
    """A witness that sees no more fails the drain at once, also if its watch ended without an error."""
    admin = FakeAdmin(breaks=breaks)
    observer = await ResourceObserver(admin.as_admin(), "n", broker.recorder).start()
    admin.items = [{"metadata": {"name": "d", "uid": "u", "resourceVersion": "3"}}]
    with pytest.raises(ServiceError, match="the stream broke" if breaks else "the watch ended"):
        await observer.drain(deadline_s=2)
    await observer.close()
