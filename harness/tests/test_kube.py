"""A real API server: rights as granted, CRDs served, restarts on the same data, clear errors."""

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from harness.errors import ServiceError
from harness.history.records import Json
from harness.services.kube import KubeCluster
from harness.services.kube_answers import items_of, mapping
from harness.services.kube_client import KubeAdmin, KubeApiError, KubeUnreachable, resource_path
from harness.services.kube_config import GROUP, User
from harness.services.ports import own_ports
from harness.services.warden import Warden
from harness.tests.samples import CRDS, OPERATOR_RULES, device
from harness.toolchain import ETCD, KUBE_APISERVER, Toolchain


@pytest.fixture
async def namespace(admin: KubeAdmin) -> AsyncIterator[str]:
    """A namespace with the CRDs in place, deleted afterwards."""
    await admin.apply_crds(CRDS)
    name = f"test-{secrets.token_hex(4)}"
    await admin.create_namespace(name)
    yield name
    await admin.delete_namespace(name)


def client(kube: KubeCluster, user: User) -> KubeAdmin:
    return KubeAdmin(kube.url, kube.ca_pem, kube.token(user))


async def test_objects_live_through_their_whole_life(admin: KubeAdmin, namespace: str) -> None:
    """Create, get, patch, status patch, list and delete do what they say."""
    await admin.create("devices", namespace, device("pi-1"))
    await admin.patch("devices", namespace, "pi-1", {"spec": {"blocked": True}})
    await admin.patch("devices", namespace, "pi-1", {"status": {"currentVersion": "1"}}, subresource="status")
    found = await admin.get("devices", namespace, "pi-1")
    assert (found["spec"], found["status"]) == ({"blocked": True}, {"currentVersion": "1"})
    items, version = await admin.list_objects("devices", namespace)
    assert len(items) == 1
    assert int(version) > 0
    await admin.delete("devices", namespace, "pi-1")
    assert await admin.find("devices", namespace, "pi-1") is None


async def test_refusal_has_its_status_and_reason(admin: KubeAdmin, namespace: str) -> None:
    """A refused request names itself, HTTP's status and the server's own words."""
    with pytest.raises(KubeApiError, match=r"GET .*/devices/ghost: 404 NotFound: .*not found") as caught:
        await admin.get("devices", namespace, "ghost")
    assert (caught.value.status, caught.value.reason) == (404, "NotFound")


async def test_bulk_create_is_quick_and_ordered(admin: KubeAdmin, namespace: str) -> None:
    """200 devices are there within seconds, answered in the order they were given."""
    names = [f"dev-{n}" for n in range(200)]
    began = time.monotonic()
    created = await admin.create_many("devices", namespace, (device(name) for name in names))
    took_s = time.monotonic() - began
    assert [_meta(item)["name"] for item in created] == names
    assert took_s < 10


async def test_bulk_create_ends_at_the_first_error(admin: KubeAdmin, namespace: str) -> None:
    """One refused object is the error, not a group of them."""
    with pytest.raises(KubeApiError, match="409 AlreadyExists"):
        await admin.create_many("devices", namespace, [device("same"), device("same")])


async def test_operator_has_exactly_what_was_granted(kube: KubeCluster, admin: KubeAdmin, namespace: str) -> None:
    """Before the grant nothing; after it the rules at once, in this namespace, and no more."""
    async with client(kube, "operator") as operator:
        with pytest.raises(KubeApiError, match="403 Forbidden"):
            await operator.list_objects("devices", namespace)
        cluster_rules = [
            {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"]}
        ]
        await admin.grant(namespace, OPERATOR_RULES, cluster_rules=cluster_rules)
        await operator.list_objects("devices", namespace)
        await operator.request("GET", "/api/v1/namespaces/kube-system")
        for method, path in (
            ("GET", "/api/v1/namespaces/default"),
            ("GET", resource_path("devices", "default")),
            ("DELETE", resource_path("devices", namespace, "any")),
            ("GET", f"/api/v1/namespaces/{namespace}/secrets"),
        ):
            with pytest.raises(KubeApiError, match="403 Forbidden"):
                await operator.request(method, path)
    async with client(kube, "nobody") as nobody:
        with pytest.raises(KubeApiError, match="403 Forbidden"):
            await nobody.list_objects("devices", namespace)


async def test_a_ready_cluster_has_its_identity(admin: KubeAdmin) -> None:
    """The namespace whose uid tells one cluster from another is there from the start."""
    found = mapping(await admin.request("GET", "/api/v1/namespaces/kube-system"))
    assert _meta(found)["uid"]


async def test_unknown_token_is_refused(kube: KubeCluster) -> None:
    """Nobody gets in without a token of ours."""
    async with KubeAdmin(kube.url, kube.ca_pem, "guessed") as stranger:
        with pytest.raises(KubeApiError, match="401 Unauthorized"):
            await stranger.request("GET", "/api")


async def test_watch_begins_with_what_is_there_and_goes_on(admin: KubeAdmin, namespace: str) -> None:
    """Existing objects first, then every change."""
    await admin.create("devices", namespace, device("old"))
    async with asyncio.timeout(20), aclosing(admin.watch("devices", namespace)) as events:
        kind, item = await anext(events)
        assert (kind, _meta(item)["name"]) == ("ADDED", "old")
        await admin.patch("devices", namespace, "old", {"spec": {"labels": {"big": "x" * 200_000}}})
        assert (await anext(events))[0] == "MODIFIED"
        await admin.delete("devices", namespace, "old")
        assert (await anext(events))[0] == "DELETED"


async def test_watch_from_a_version_that_is_no_more_is_gone(admin: KubeAdmin, namespace: str) -> None:
    """An expired version is told as status 410."""
    async with asyncio.timeout(20), aclosing(admin.watch("devices", namespace, "1")) as events:
        with pytest.raises(KubeApiError) as caught:
            await anext(events)
    assert caught.value.status == 410


async def test_deleted_namespace_is_really_gone(admin: KubeAdmin) -> None:
    """Objects with finalizers, roles and the namespace itself are gone, without any controller."""
    await admin.apply_crds(CRDS)
    await admin.create_namespace("doomed")
    await admin.grant("doomed", OPERATOR_RULES, cluster_rules=OPERATOR_RULES)
    for name in ("held", "going"):
        held = device(name)
        held["metadata"] = {"name": name, "finalizers": [f"{GROUP}/keys"]}
        await admin.create("devices", "doomed", held)
    await admin.delete("devices", "doomed", "going")
    about = {"apiVersion": f"{GROUP}/v1alpha1", "kind": "Device", "name": "held", "namespace": "doomed"}
    event = {"metadata": {"name": "noticed"}, "involvedObject": about}
    await admin.request("POST", "/api/v1/namespaces/doomed/events", body=event)
    await admin.request("POST", "/api/v1/namespaces/doomed/configmaps", body={"metadata": {"name": "fleet-sweep"}})
    await admin.delete_namespace("doomed")
    # Asked across all namespaces: what is stored under one that is gone is asked for by nobody else.
    for path in ("/api/v1/events", "/api/v1/configmaps", f"/apis/{GROUP}/v1alpha1/devices"):
        left = items_of(mapping(await admin.request("GET", path)))
        assert not [item for item in left if _meta(item)["namespace"] == "doomed"], path
    with pytest.raises(KubeApiError, match="404"):
        await admin.request("GET", "/api/v1/namespaces/doomed")
    with pytest.raises(KubeApiError, match="404"):
        await admin.request("GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/doomed-operator")
    await admin.create_namespace("doomed")
    assert (await admin.list_objects("devices", "doomed"))[0] == []
    await admin.delete_namespace("doomed")


async def test_crds_can_be_applied_again(admin: KubeAdmin) -> None:
    """Applying what is there changes nothing and fails nothing."""
    await admin.apply_crds(CRDS)
    await admin.apply_crds(CRDS)


def test_kubeconfig_can_be_led_through_a_fault_point(kube: KubeCluster) -> None:
    """Server and CA can be another's; token and namespace stay."""
    config = json.loads(kube.kubeconfig("operator", server="https://gate", ca_pem=b"ca", namespace="ns"))
    cluster = config["clusters"][0]["cluster"]
    assert cluster == {"server": "https://gate", "certificate-authority-data": base64.b64encode(b"ca").decode()}
    assert config["users"][0]["user"]["token"] == kube.token("operator")
    assert config["contexts"][0]["context"]["namespace"] == "ns"


async def test_killed_api_comes_back_with_its_data(toolchain: Toolchain, tmp_path: Path, warden: Warden) -> None:
    """Own cluster: killed, it is unreachable; started again it has the same objects on the same port."""
    cluster = await KubeCluster.start(
        toolchain.ensure(ETCD), toolchain.ensure(KUBE_APISERVER), tmp_path / "kube", warden=warden, name="own"
    )
    try:
        async with cluster.admin() as admin:
            await admin.create_namespace("kept")
            await cluster.apiserver.kill()
            with pytest.raises(KubeUnreachable, match="no answer from https"):
                await admin.request("GET", "/api/v1/namespaces/kept")
            await cluster.start_apiserver()
            await admin.request("GET", "/api/v1/namespaces/kept")
    finally:
        await cluster.stop()
        await cluster.stop()
    assert cluster.port not in own_ports()


async def test_api_that_cannot_start_says_why_and_leaves_nothing(
    toolchain: Toolchain, tmp_path: Path, warden: Warden
) -> None:
    """A program that ends at once is told with its name and last words."""
    pids, ports = warden.registered_pids, own_ports()
    with pytest.raises(ServiceError, match=r"kube-apiserver exited with \d+; its log ends: .*etcd"):
        await KubeCluster.start(toolchain.ensure(ETCD), toolchain.ensure(ETCD), tmp_path / "kube", warden=warden)
    assert warden.registered_pids == pids
    assert own_ports() == ports


def _meta(item: Json) -> Json:
    metadata = item["metadata"]
    assert isinstance(metadata, dict)
    return metadata
