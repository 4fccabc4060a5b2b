"""HTTP faults before a real API server: each is proved active, healed, and not proved where it does nothing."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.env import Foundation
from harness.errors import ServiceError
from harness.faults.fault import Fault, mend, strike
from harness.faults.http_cut import HttpCut
from harness.faults.http_garbage import HttpGarbage
from harness.faults.http_hangup import HttpHangUp
from harness.faults.http_hold import HttpHold
from harness.faults.http_point import EVERYTHING, LISTS, STATUS_PATCHES, WATCHES, HttpPoint
from harness.faults.http_slow import HttpSlow
from harness.faults.http_status import HttpStatus
from harness.faults.http_watch import WatchDropped, WatchExpired
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord
from harness.history import Gate as GateRecord
from harness.history import Recorder
from harness.services.gate import Gate
from harness.services.kube_client import KubeAdmin, KubeApiError
from harness.tests.samples import device
from harness.wait import wait_for

Make = Callable[[HttpPoint, KubeAdmin], Fault]

MAKES: dict[str, Make] = {
    **{
        f"{code}-{scope.rule.name}": lambda point, _, code=code, scope=scope: HttpStatus(point, scope, code)  # type: ignore[misc] # defaults bind early
        for code, scope in [
            *((code, EVERYTHING) for code in (401, 403, 410, 429, 500, 503)),
            *((503, scope) for scope in (LISTS, WATCHES, STATUS_PATCHES)),
        ]
    },
    **{
        f"{kind}-{scope.rule.name}": lambda point, _, kind=kind, scope=scope: HttpGarbage(point, scope, kind)  # type: ignore[misc] # likewise
        for kind in ("bytes", "shape", "utf8", "deep", "html", "not-http", "cut")
        for scope in (LISTS, STATUS_PATCHES)
    },
    "garbage-watch": lambda point, _: HttpGarbage(point, WATCHES, "bytes"),
    "slow-list": lambda point, _: HttpSlow(point, LISTS, 50),
    "slow-status-patch": lambda point, _: HttpSlow(point, STATUS_PATCHES, 50),
    "hang-up-all": lambda point, _: HttpHangUp(point, EVERYTHING),
    "hang-up-watch": lambda point, _: HttpHangUp(point, WATCHES),
    "watch-dropped": lambda point, _: WatchDropped(point, after_s=0.2),
    "watch-dropped-after-bytes": lambda point, _: WatchDropped(point, after_bytes=100),
    "watch-expired-as-answer": lambda point, admin: WatchExpired(point, admin, "as-answer"),
    "watch-expired-as-event": lambda point, admin: WatchExpired(point, admin, "as-event"),
}


@dataclass(frozen=True)
class World:
    """A gate before the API server, a namespace with one device, and a client that knows the gate only."""

    point: HttpPoint
    admin: KubeAdmin
    through: KubeAdmin
    recorder: Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    recorder = Recorder(tmp_path / "history.jsonl")
    yield recorder
    recorder.close()


@pytest.fixture
async def world(foundation: Foundation, recorder: Recorder) -> AsyncIterator[World]:
    admin, kube, namespace = foundation.admin, foundation.kube, f"http-{secrets.token_hex(4)}"
    await admin.create_namespace(namespace)
    await admin.create("devices", namespace, device("pi"))
    async with (
        Gate(kube.url, kube.ca_pem, recorder) as gate,
        KubeAdmin(gate.url, gate.ca_pem, kube.token("admin")) as through,
    ):
        yield World(HttpPoint(gate, kube.token("admin"), namespace), admin, through, recorder)
    await admin.delete_namespace(namespace)


def events(world: World) -> list[str]:
    return [fault.event for fault in world.recorder.history().of(FaultRecord)]


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
async def test_active_and_healed(make: Make, world: World) -> None:
    """Both are seen by a request of the harness's own, which stands for none of the product's."""
    fault = make(world.point, world.admin)
    await strike(fault, world.recorder)
    await mend(fault, world.recorder)
    await fault.close()
    assert events(world) == ["applied", "proved-active", "healed", "proved-healed"], world.recorder.records
    assert not world.recorder.history().of(GateRecord)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
async def test_toothless(make: Make, world: World) -> None:
    """One that does nothing is not proved active."""
    fault = Toothless(make(world.point, world.admin))
    await strike(fault, world.recorder)
    assert events(world) == ["applied", "unproved"]


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
async def test_not_healed(make: Make, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that stays is not proved healed."""
    fault = make(world.point, world.admin)
    await strike(fault, world.recorder)
    monkeypatch.setattr(fault, "heal", _nothing)
    await mend(fault, world.recorder)
    assert events(world)[-1] == "unproved"


async def _nothing() -> None:
    """A heal that does nothing."""


async def test_the_first_requests_only(world: World) -> None:
    """Our own request meets the trouble without using it up; after the first one of the product the others pass."""
    fault = HttpStatus(world.point, LISTS, 503, first=1)
    await strike(fault, world.recorder)
    assert events(world)[-1] == "proved-active"
    with pytest.raises(KubeApiError, match="503"):
        await world.through.list_objects("devices", world.point.namespace)
    await world.through.list_objects("devices", world.point.namespace)
    await fault.close()


@pytest.mark.parametrize(
    ("query", "is_list", "is_watch"),
    [
        ("", True, False),
        ("?limit=100", True, False),
        ("?limit=100&continue=abc", True, False),
        ("?resourceVersion=0", True, False),
        ("?limit=1", False, False),
        ("?watch=1&allowWatchBookmarks=true&resourceVersion=9&timeoutSeconds=20", False, True),
        ("?allowWatchBookmarks=true&watch=true", False, True),
        ("/pi", False, False),
        ("/pi/status", False, False),
    ],
)
def test_scopes(query: str, *, is_list: bool, is_watch: bool) -> None:
    """Lists and watches of either resource, in whatever order a client writes its query."""
    for resource in ("devices", "deployments"):
        path = f"/apis/fleet.fleetproof.dev/v1alpha1/namespaces/n/{resource}{query}"
        assert LISTS.rule.matches("GET", path) == is_list
        assert WATCHES.rule.matches("GET", path) == is_watch
        assert EVERYTHING.rule.matches("DELETE", path)


async def test_a_watch_is_dropped_only_within_its_first_second(world: World) -> None:
    """A drop that our own watch would not see cannot be asked for."""
    with pytest.raises(ServiceError, match="below 1 s"):
        WatchDropped(world.point, after_s=1.5)


async def test_hold(world: World) -> None:
    """The second request of the rule is held from when it is applied, and goes on when it is healed."""
    world.point.gate.arm(LISTS.rule)
    await world.through.list_objects("devices", world.point.namespace)
    fault = HttpHold(world.point, LISTS, 2)
    striking = asyncio.create_task(strike(fault, world.recorder))
    await wait_for("the fault to be applied", lambda: True if events(world) else None, deadline_s=5)
    asking = asyncio.create_task(_twice(world))
    await striking
    assert events(world) == ["applied", "proved-active"]
    assert not asking.done()
    await mend(fault, world.recorder)
    await asking
    assert events(world)[-1] == "proved-healed"


async def _twice(world: World) -> None:
    for _ in range(2):
        await world.through.list_objects("devices", world.point.namespace)


async def test_hold_that_drops(world: World) -> None:
    """Dropped, its client gets no answer."""
    fault = HttpHold(world.point, STATUS_PATCHES, drop=True)
    striking = asyncio.create_task(strike(fault, world.recorder))
    await wait_for("the fault to be applied", lambda: True if events(world) else None, deadline_s=5)
    asking = asyncio.create_task(
        world.through.patch("deployments", world.point.namespace, "none", {}, subresource="status")
    )
    await striking
    assert "deployments/none/status" in world.recorder.history().of(FaultRecord)[-1].detail
    await mend(fault, world.recorder)
    with pytest.raises(ServiceError, match="no answer"):
        await asking


async def test_hold_of_a_request_that_does_not_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not proved active, and healing it forgets it."""
    monkeypatch.setattr("harness.faults.http_hold.REACHED_WITHIN_S", 0.1)
    fault = HttpHold(world.point, LISTS)
    await strike(fault, world.recorder)
    await mend(fault, world.recorder)
    assert events(world) == ["applied", "unproved", "healed", "unproved"]
    await world.through.list_objects("devices", world.point.namespace)


async def test_hold_toothless(world: World) -> None:
    """Without its bite nothing is held, however often the product asks."""
    fault = Toothless(HttpHold(world.point, LISTS))
    await strike(fault, world.recorder)
    assert events(world) == ["applied", "unproved"]


async def test_cut(world: World, foundation: Foundation) -> None:
    """Nobody answers through the link, until it is healed; a link that was not cut is seen to carry answers."""
    link = await foundation.toxiproxy.create("http-cut-test", world.point.gate.url.removeprefix("https://"))
    try:
        fault = HttpCut(world.point, link)
        await strike(fault, world.recorder)
        await mend(fault, world.recorder)
        await strike(Toothless(fault), world.recorder)
        assert events(world) == ["applied", "proved-active", "healed", "proved-healed", "applied", "unproved"]
        assert fault.target == link.name
    finally:
        await link.delete()


async def test_slow_watch_goes_on(world: World) -> None:
    """What a slow answer holds back is there once it is healed."""
    fault = HttpSlow(world.point, WATCHES, 100)
    await strike(fault, world.recorder)
    async with asyncio.timeout(10), aclosing(world.through.watch("devices", world.point.namespace)) as watching:
        coming = asyncio.ensure_future(anext(watching))
        done, _ = await asyncio.wait({coming}, timeout=0.3)
        assert not done
        await mend(fault, world.recorder)
        assert (await coming)[0] == "ADDED"
