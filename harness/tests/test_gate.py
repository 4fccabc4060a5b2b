"""The gate before a real API server: everything passes, and one chosen request is held, dropped or released."""

import asyncio
import time
from contextlib import aclosing, suppress

import pytest

from harness.errors import ServiceError, WaitTimeout
from harness.history import Gate as GateRecord
from harness.history import Recorder, Request
from harness.history.records import Json
from harness.services.audit import AuditTail
from harness.services.gate import Gate, Rule
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin, KubeApiError, KubeUnreachable
from harness.services.ports import own_ports
from harness.tests.samples import device
from harness.wait import wait_for

STATUS = Rule("status", "PATCH", r"/devices/[^/]+/status")


@pytest.fixture
def audit(kube: KubeCluster, recorder: Recorder, pi_namespace: str) -> AuditTail:
    """Reads what the server itself saw, when drained."""
    return AuditTail(kube.audit_path, recorder, namespace=pi_namespace)


def set_status(client: KubeAdmin, pi_namespace: str, value: str) -> "asyncio.Task[Json]":
    patch = {"status": {"value": value}}
    return asyncio.create_task(client.patch("devices", pi_namespace, "pi", patch, subresource="status"))


async def status_of(admin: KubeAdmin, pi_namespace: str) -> object:
    return (await admin.get("devices", pi_namespace, "pi")).get("status")


async def test_everything_passes_by_default(through: KubeAdmin, pi_namespace: str) -> None:
    """Creates, patches, large answers, refusals and queries look as they do without the gate."""
    await through.create("devices", pi_namespace, device("other"))
    await through.patch("devices", pi_namespace, "pi", {"spec": {"labels": {"big": "x" * 300_000}}})
    items, _ = await through.list_objects("devices", pi_namespace)
    assert len(items) == 2
    limited = await through.request(
        "GET", f"/apis/fleet.fleetproof.dev/v1alpha1/namespaces/{pi_namespace}/devices", params={"limit": "1"}
    )
    assert isinstance(limited, dict)
    assert len(limited["items"]) == 1
    with pytest.raises(KubeApiError, match="404 NotFound"):
        await through.get("devices", pi_namespace, "ghost")
    await through.delete("devices", pi_namespace, "other")


async def test_own_authorization_is_passed_through(kube: KubeCluster, gate: Gate, pi_namespace: str) -> None:
    """The gate lends nobody its rights: a token's own rights apply."""
    async with KubeAdmin(gate.url, gate.ca_pem, kube.token("nobody")) as nobody:
        with pytest.raises(KubeApiError, match="403"):
            await nobody.list_objects("devices", pi_namespace)


async def test_watch_events_arrive_as_they_happen(through: KubeAdmin, admin: KubeAdmin, pi_namespace: str) -> None:
    """A watch is streamed, not collected."""
    async with asyncio.timeout(20), aclosing(through.watch("devices", pi_namespace)) as events:
        assert (await anext(events))[0] == "ADDED"
        for n in range(3):
            await admin.patch("devices", pi_namespace, "pi", {"spec": {"n": n}})
            assert (await anext(events))[0] == "MODIFIED"


async def test_dropped_request_never_reaches_the_server(
    gate: Gate, through: KubeAdmin, admin: KubeAdmin, pi_namespace: str, audit: AuditTail
) -> None:
    """The second status patch is held, then dropped: object unchanged, no line in the audit log, connection closed."""
    held = gate.hold(STATUS, 2)
    await set_status(through, pi_namespace, "first")
    second = set_status(through, pi_namespace, "second")
    await held.reached(10)
    assert await status_of(admin, pi_namespace) == {"value": "first"}
    assert not second.done()
    held.drop()
    with pytest.raises(KubeUnreachable, match="no answer"):
        await second
    assert await status_of(admin, pi_namespace) == {"value": "first"}
    await audit.drain()
    history = audit.recorder.history()
    patches = [r for r in history.of(Request) if r.verb == "patch"]
    assert len(patches) == 1
    records = [(r.rule, r.ordinal, r.event, r.method) for r in history.of(GateRecord)]
    assert records == [("status", 2, "held", "PATCH"), ("status", 2, "dropped", "PATCH")]
    await set_status(through, pi_namespace, "third")
    assert gate.count(STATUS) == 3


async def test_released_request_is_answered(
    gate: Gate, through: KubeAdmin, admin: KubeAdmin, pi_namespace: str, recorder: Recorder
) -> None:
    """Released, it takes effect and its client gets the server's answer."""
    held = gate.hold(STATUS, 1)
    patch = set_status(through, pi_namespace, "late")
    await held.reached(10)
    held.release()
    assert (await patch)["status"] == {"value": "late"}
    assert await status_of(admin, pi_namespace) == {"value": "late"}
    assert [r.event for r in recorder.history().of(GateRecord)] == ["held", "released"]
    assert held.decided == "released"


@pytest.mark.parametrize("decision", ["released", "dropped"])
async def test_held_request_outlives_its_client(
    gate: Gate, through: KubeAdmin, admin: KubeAdmin, pi_namespace: str, decision: str
) -> None:
    """Its client is gone before the decision: released it still takes effect, dropped it has none."""
    held = gate.hold(STATUS, 1)
    patch = set_status(through, pi_namespace, "orphan")
    await held.reached(10)
    patch.cancel()
    with suppress(asyncio.CancelledError):
        await patch
    await wait_for("the gate to notice", lambda: True if gate._orphans else None, deadline_s=5)
    if decision == "released":
        held.release()
    else:
        held.drop()
    await wait_for("the gate to act", lambda: None if gate._orphans else True, deadline_s=5)
    assert await status_of(admin, pi_namespace) == ({"value": "orphan"} if decision == "released" else None)


async def test_hold_that_is_not_reached_tells_the_count(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """A wait in vain says which request of which rule, and how many were seen."""
    held = gate.hold(STATUS, 5)
    await set_status(through, pi_namespace, "x")
    with pytest.raises(WaitTimeout, match=r"request 5 of rule status .* within 0.05 s; seen 1"):
        await held.reached(0.05)
    with pytest.raises(ServiceError, match="nothing is held"):
        held.drop()


async def test_past_request_cannot_be_held(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """A hold that can never bite is an error at once."""
    gate.arm(STATUS)
    await set_status(through, pi_namespace, "x")
    with pytest.raises(ServiceError, match="request 1 of rule status has passed: 1 were seen"):
        gate.hold(STATUS, 1)


async def test_decision_is_final(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """A second decision is an error, not a second record."""
    held = gate.hold(STATUS, 1)
    patch = set_status(through, pi_namespace, "x")
    await held.reached(10)
    held.release()
    with pytest.raises(ServiceError, match="was released already"):
        held.drop()
    await patch


async def test_disarmed_rule_lets_everything_pass(gate: Gate, through: KubeAdmin, pi_namespace: str) -> None:
    """Holds that were not reached are forgotten with their rule."""
    gate.hold(STATUS, 1)
    gate.disarm(STATUS)
    async with asyncio.timeout(10):
        await set_status(through, pi_namespace, "x")


async def test_close_ends_open_watches_at_once(kube: KubeCluster, pi_namespace: str) -> None:
    """Closing does not wait for endless answers, and gives the port back."""
    gate = await Gate(kube.url, kube.ca_pem).start()
    port = int(gate.url.rsplit(":", 1)[1])
    async with (
        KubeAdmin(gate.url, gate.ca_pem, kube.token("admin")) as client,
        asyncio.timeout(20),
        aclosing(client.watch("devices", pi_namespace)) as events,
    ):
        await anext(events)
        began = time.monotonic()
        await gate.close()
        with pytest.raises(KubeUnreachable):
            await anext(events)
        assert time.monotonic() - began < 1
    assert port not in own_ports()


async def test_close_with_a_held_request_forwards_nothing(
    kube: KubeCluster, admin: KubeAdmin, pi_namespace: str
) -> None:
    """What is held at the end is never forwarded, and the end does not wait for it."""
    gate = await Gate(kube.url, kube.ca_pem).start()
    held = gate.hold(STATUS, 1)
    async with KubeAdmin(gate.url, gate.ca_pem, kube.token("admin")) as client:
        patch = set_status(client, pi_namespace, "never")
        await held.reached(10)
        began = time.monotonic()
        await gate.close()
        assert time.monotonic() - began < 1
        with pytest.raises(KubeUnreachable):
            await patch
    assert await status_of(admin, pi_namespace) is None


async def test_absent_server_is_a_closed_connection(kube: KubeCluster) -> None:
    """With no server behind it the client sees no answer: not one that the gate made up."""
    async with (
        Gate("https://127.0.0.1:9", kube.ca_pem) as gate,
        KubeAdmin(gate.url, gate.ca_pem, kube.token("admin")) as client,
    ):
        with pytest.raises(KubeUnreachable):
            await client.request("GET", "/readyz")
