"""The audit log: every answered request of one namespace, on disk before its answer ends."""

import secrets
from collections.abc import AsyncIterator

import pytest

from harness.errors import ServiceError
from harness.history import Recorder, Request
from harness.services.audit import AuditTail
from harness.services.kube import KubeCluster
from harness.services.kube_client import KubeAdmin, KubeApiError
from harness.tests.samples import CRDS, device
from harness.wait import wait_for


@pytest.fixture
async def namespace(admin: KubeAdmin) -> AsyncIterator[str]:
    await admin.apply_crds(CRDS)
    name = f"audit-{secrets.token_hex(4)}"
    await admin.create_namespace(name)
    yield name
    await admin.delete_namespace(name)


async def test_line_is_on_disk_before_the_answer(
    kube: KubeCluster, admin: KubeAdmin, namespace: str, recorder: Recorder
) -> None:
    """After each of 200 answers its line is there already: a drain needs no waiting."""
    tail = AuditTail(kube.audit_path, recorder, namespace=namespace)
    for n in range(100):
        await admin.create("devices", namespace, device(f"d{n}"))
        await tail.drain()
        assert len(recorder.history().of(Request)) == 2 * n + 1
        # The list grows far past any buffer of the server's.
        await admin.list_objects("devices", namespace)
        await tail.drain()
        assert len(recorder.history().of(Request)) == 2 * n + 2


async def test_concurrent_answers_are_all_counted(
    kube: KubeCluster, admin: KubeAdmin, namespace: str, recorder: Recorder
) -> None:
    """Many at once lose no line and tear none."""
    tail = AuditTail(kube.audit_path, recorder, namespace=namespace).start()
    await admin.create_many("devices", namespace, [device(f"d{n}") for n in range(200)])
    await tail.drain()
    assert len({r.name for r in recorder.history().of(Request)}) <= 200
    assert len(recorder.history().of(Request)) == 200
    await tail.close()
    await tail.close()


async def test_record_says_who_did_what_when(
    kube: KubeCluster, admin: KubeAdmin, namespace: str, recorder: Recorder
) -> None:
    """User, agent, verb, resource, subresource, code, and a time on the history's clock; refused ones too."""
    await admin.create("devices", namespace, device("pi"))
    tail = AuditTail(kube.audit_path, recorder, namespace=namespace)
    before = recorder.now_s
    await admin.patch("devices", namespace, "pi", {"status": {}}, subresource="status")
    async with KubeAdmin(kube.url, kube.ca_pem, kube.token("nobody")) as nobody:
        with pytest.raises(KubeApiError):
            await nobody.get("devices", namespace, "pi")
    after = recorder.now_s
    await tail.drain()
    patched, refused = recorder.history().of(Request)
    assert (patched.user, patched.user_agent) == ("admin", "fleetproof-harness")
    assert (patched.verb, patched.resource, patched.subresource, patched.name, patched.code) == (
        "patch",
        "devices",
        "status",
        "pi",
        200,
    )
    # Two clocks of one machine: the monotonic one and the wall's drift by far less.
    assert before - 0.01 <= patched.requested_s <= after + 0.01
    assert (refused.user, refused.verb, refused.code) == ("nobody", "get", 403)


async def test_other_namespaces_and_other_groups_are_not_counted(
    kube: KubeCluster, admin: KubeAdmin, namespace: str, recorder: Recorder
) -> None:
    """What another test does on the same server is not in this history, nor is what is not ours."""
    tail = AuditTail(kube.audit_path, recorder, namespace=namespace)
    await admin.list_objects("devices", "default")
    await admin.request("GET", f"/api/v1/namespaces/{namespace}/configmaps")
    await tail.drain()
    assert recorder.history().of(Request) == []


async def test_running_tail_records_by_itself(
    kube: KubeCluster, admin: KubeAdmin, namespace: str, recorder: Recorder
) -> None:
    """A started tail needs no drain to be up to date soon."""
    tail = AuditTail(kube.audit_path, recorder, namespace=namespace).start()
    await admin.list_objects("devices", namespace)
    await wait_for("the record", lambda: True if recorder.history().of(Request) else None, deadline_s=5)
    await tail.close()


async def test_broken_log_is_an_error_not_silence(namespace: str, recorder: Recorder) -> None:
    """A reader that died is told by drain: counts of a dead reader are worth nothing."""
    path = recorder.path.with_name("broken.log")
    path.write_bytes(b"")
    tail = AuditTail(path, recorder, namespace=namespace).start()
    path.write_bytes(b"garbage\n")
    told = r"broken.log: after byte 0: not an audit event: JSON is malformed"
    with pytest.raises(ServiceError, match=told):
        await tail.drain()
    with pytest.raises(ServiceError, match=told):
        await tail.close()
