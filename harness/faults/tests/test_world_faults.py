"""Faults of etcd, the API server and the world that they show: on real servers of the test's own."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet import crds
from fleet.crds import API_VERSION
from harness.env import Environment, Foundation
from harness.env.product import Product
from harness.env.recording import recording
from harness.errors import ServiceError
from harness.faults.apiserver_killed import ApiserverKilled
from harness.faults.cluster_fault import NOT_OURS
from harness.faults.crds_reinstalled import CrdsReinstalled
from harness.faults.etcd_killed import EtcdKilled
from harness.faults.etcd_replaced import EtcdReplaced
from harness.faults.etcd_restored import EtcdBackup, EtcdRestored
from harness.faults.fault import Fault, mend, strike
from harness.faults.manifests import Manifests, versions
from harness.faults.other_cluster import OtherCluster, Place
from harness.faults.toothless import Toothless
from harness.history import Fault as FaultRecord
from harness.history import Resource
from harness.services.operator import OperatorProcess

LIVES = (sys.executable, "-c", "import signal; signal.pause()")
WHOLE = ["applied", "proved-active", "healed", "proved-healed"]


@pytest.fixture
async def world(foundation: Foundation, tmp_path: Path) -> AsyncIterator[Environment]:
    """A world on a cluster of its own."""
    with recording(tmp_path / "case", "shape", "case", None) as recorder:
        own = await foundation.own_cluster(recorder)
        try:
            env = await Environment.open(own, tmp_path / "case", recorder, Product(LIVES))
            try:
                yield env
            finally:
                await env.close()
        finally:
            await own.close()


def body(name: str, labels: dict[str, str] | None = None, *, held: bool = False) -> dict[str, object]:
    metadata = {"name": name, "finalizers": ["example.com/held"]} if held else {"name": name}
    spec: dict[str, object] = {"labels": labels or {}}
    return {"apiVersion": API_VERSION, "kind": "Device", "metadata": metadata, "spec": spec}


async def store(world: Environment, *names: str, held: bool = False) -> None:
    await world.foundation.admin.create_many("devices", world.namespace, [body(name, held=held) for name in names])


def events(world: Environment) -> list[str]:
    return [fault.event for fault in world.recorder.history().of(FaultRecord)]


def told(world: Environment) -> list[tuple[str, str]]:
    return [(resource.event, resource.name) for resource in world.recorder.history().of(Resource)]


async def without_teeth(world: Environment, fault: Fault) -> None:
    """The same fault without its bite is not proved active."""
    begin = len(events(world))
    await strike(Toothless(fault), world.recorder)
    assert events(world)[begin:] == ["applied", "unproved"]


async def test_killed_servers(world: Environment) -> None:
    """etcd, the API server, and both: active, healed; the witnesses go on, and the audit log is whole."""
    kube = world.foundation.kube
    await store(world, "before")
    for fault in (EtcdKilled(kube), ApiserverKilled(kube)):
        await without_teeth(world, fault)
        begin = len(events(world))
        await strike(fault, world.recorder)
        await mend(fault, world.recorder)
        assert events(world)[begin:] == WHOLE
    begin = len(events(world))
    both = EtcdKilled(kube), ApiserverKilled(kube)
    for dead in both:
        await strike(dead, world.recorder)
    # A line that the kill cut off.
    with kube.audit_path.open("ab") as log:
        log.write(b'{"kind":"Event","apiVer')
    for dead in both:
        await mend(dead, world.recorder)
    assert events(world)[begin:] == [*WHOLE[:2] * 2, *WHOLE[2:] * 2]
    await store(world, "after")
    await world.settle_witnesses()
    assert told(world) == [("added", "before"), ("added", "after")]


async def test_etcd_restored(world: Environment) -> None:
    """What was made, changed or deleted since the backup is as it was; the witness tells of it; applied, it is back."""
    kube, admin = world.foundation.kube, world.foundation.admin
    await store(world, "kept", "edited", "deleted")
    backup = await EtcdBackup.take(kube, admin, world.namespace)
    fault = EtcdRestored(kube, admin, backup)
    await without_teeth(world, fault)
    await admin.patch("devices", world.namespace, "edited", {"spec": {"labels": {"a": "b"}}})
    await admin.delete("devices", world.namespace, "deleted")
    await store(world, "new")
    await world.settle_witnesses()
    begin, seen = len(events(world)), len(told(world))
    await strike(fault, world.recorder)
    await world.settle_witnesses()
    assert sorted(told(world)[seen:]) == [("added", "deleted"), ("deleted", "new"), ("modified", "edited")]
    await mend(fault, world.recorder)
    assert events(world)[begin:] == WHOLE
    await world.settle_witnesses()
    assert {name for _, name in await versions(admin, world.namespace)} == {"kept", "edited", "new"}


async def test_a_backup_that_is_not_old_is_no_fault(world: Environment) -> None:
    """Nothing happened since: putting it back changes nothing, and that is not proved as a fault."""
    kube, admin = world.foundation.kube, world.foundation.admin
    await store(world, "kept")
    backup = await EtcdBackup.take(kube, admin, world.namespace)
    await strike(EtcdRestored(kube, admin, backup), world.recorder)
    assert events(world) == ["applied", "unproved"]


async def test_a_restore_that_was_not_done_is_no_fault(world: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server is asked: what the backup does not know is still there."""
    kube, admin = world.foundation.kube, world.foundation.admin
    backup = await EtcdBackup.take(kube, admin, world.namespace)
    await store(world, "new")

    async def nothing(_: Path) -> None:
        return

    monkeypatch.setattr(kube, "replace_data", nothing)
    await strike(EtcdRestored(kube, admin, backup), world.recorder)
    record = world.recorder.history().of(FaultRecord)[-1]
    assert (record.event, "1 versions are there that the backup does not know" in record.detail) == ("unproved", True)


async def test_etcd_replaced(world: Environment) -> None:
    """Another identity answers, then the first one again, with what it had."""
    kube, admin = world.foundation.kube, world.foundation.admin
    await store(world, "kept")

    async def furnish() -> None:
        await admin.apply_crds(crds.manifests())

    fault = EtcdReplaced(kube, admin, furnish)
    await without_teeth(world, fault)
    begin = len(events(world))
    await strike(fault, world.recorder)
    await world.settle_witnesses()
    assert told(world) == [("added", "kept"), ("deleted", "kept")]
    await mend(fault, world.recorder)
    assert events(world)[begin:] == WHOLE
    await world.settle_witnesses()
    assert told(world)[2:] == [("added", "kept")]


async def test_crds_reinstalled(world: Environment) -> None:
    """Objects are gone, also those whose finalizers are in the way, and come back under other uids."""
    admin = world.foundation.admin
    await store(world, "free")
    await store(world, "held", held=True)
    before = await versions(admin, world.namespace)
    stuck: list[str] = []

    async def held_up() -> None:
        stuck.append(str((await admin.list_objects("devices", world.namespace))[0]))

    fault = CrdsReinstalled(world.foundation.kube, admin, world.namespace, held_up=held_up)
    await without_teeth(world, fault)
    begin = len(events(world))
    await strike(fault, world.recorder)
    assert "held" in stuck[0]
    assert await versions(admin, world.namespace) == {}
    await mend(fault, world.recorder)
    assert events(world)[begin:] == WHOLE
    after = await versions(admin, world.namespace)
    assert after.keys() == before.keys()
    assert all(after[name][0] != before[name][0] for name in after)
    await world.settle_witnesses()
    assert told(world)[-1][0] == "added"


async def test_manifests_one_by_one(world: Environment) -> None:
    """Each is applied and awaited in turn; what nobody has a file for goes."""
    admin = world.foundation.admin
    await store(world, "a", "b")
    manifests = await Manifests.of(admin, world.namespace)
    await admin.patch("devices", world.namespace, "a", {"spec": {"labels": {"a": "b"}}})
    await store(world, "c")
    assert await manifests.differing() == ["devices/a", "devices/c"]
    turns: list[int] = []

    async def between() -> None:
        turns.append(len(await manifests.differing()))

    await manifests.apply(between)
    assert len(turns) == 2
    assert turns[-1] == 0 or "a" in (await manifests.differing())[0]


async def test_a_stranger(world: Environment) -> None:
    """One that serves another namespace is proved; one that serves the right one is none."""
    admin = world.foundation.admin
    namespace = await world.another_namespace(world.foundation)
    right = Place(admin, world.namespace)

    def fault_for(wrong: Place) -> OtherCluster:
        async def start() -> OperatorProcess:
            return await world.start_stranger(world.foundation, wrong.namespace)

        return OtherCluster(right, wrong, start)

    fault = fault_for(Place(admin, namespace))
    await without_teeth(world, fault)
    begin = len(events(world))
    await strike(fault, world.recorder)
    assert fault.stranger is not None
    assert fault.stranger.process.running
    await mend(fault, world.recorder)
    assert events(world)[begin:] == WHOLE
    await fault.close()
    none = fault_for(right)
    none.stranger = fault.stranger
    with pytest.raises(ServiceError, match="as it should"):
        await none.prove_active()


async def test_what_others_use_is_not_killed(foundation: Foundation, world: Environment) -> None:
    """On the cluster that tests share such a fault is not available: it is not applied."""
    shared, admin = foundation.kube, foundation.admin

    async def furnish() -> None:
        raise AssertionError("applied")

    backup = EtcdBackup(world.folder, "n", {})
    faults: list[Fault] = [
        EtcdKilled(shared),
        ApiserverKilled(shared),
        EtcdRestored(shared, admin, backup),
        EtcdReplaced(shared, admin, furnish),
        CrdsReinstalled(shared, admin, "n"),
    ]
    assert [fault.available() for fault in faults] == [NOT_OURS] * len(faults)
    assert EtcdKilled(world.foundation.kube).available() is None
